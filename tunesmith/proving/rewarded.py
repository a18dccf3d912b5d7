"""The proof of a run that learned from rewards: tuned and base answer the same held-out prompts,
and the same rewards say what the answers are worth.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.metrics import METRICS, metric_class
from tunesmith.plain import JsonObject
from tunesmith.proving.contest import Contest, Outcome
from tunesmith.proving.judge import TUNED
from tunesmith.proving.record import Record
from tunesmith.rollout.rewarding import Rewarded, Rewarding, asked_of, unseen_of
from tunesmith.settings.run import Generate
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.models.calling.generate import Answer
    from tunesmith.models.loading.load import Loaded

METRIC, UNSEEN = "mean_reward", "unseen_reward"


def rewarded_answers(contest: Contest) -> Outcome:
    """Compares greedy answers of base and tuned by their rewards; rows with a reward that abstained
    are left out for both.

    Metrics of written answers that the run names, such as exact_match, are a second opinion that
    nothing was trained on; so are the rewards of ``source.prove_by``.
    """
    metrics, primary = _metrics(contest)
    config = contest.run.source
    answers, seconds = {}, {}
    contest.parts(2)
    with contest.base() as base:
        answers["base"], seconds["base"] = _of("base", base, contest)
    answers[TUNED], seconds[TUNED] = _of(TUNED, contest.tuned, contest)
    rewarding = Rewarding(config.rewards, config.weights, config.timeout)
    worth = _worth(contest, answers, rewarding)
    unseen = _worth(contest, answers, unseen_of(config)) if config.prove_by else {}
    every = [*worth.values(), *unseen.values()]
    silent_I = np.any([np.isnan(paid.sums_n) for paid in every], axis=0)
    if silent_I.all():
        raise DataError(Problem("source.rewards", say("rollout.none_proved", items=len(silent_I))))
    records = [
        _record(contest, index, answers, (worth, unseen))
        for index in np.flatnonzero(~silent_I).tolist()
    ]
    settings = _settings(contest).model_dump(mode="json")
    facts = {
        "stopped": {
            name: sum(answer.stopped for answer in written) / len(written)
            for name, written in answers.items()
        },
        "seconds": seconds,
        "generation": {**settings, "folder_defaults": {}},
        "rewards": {name: rewarding.means(paid) for name, paid in worth.items()},
        "abstained": int(silent_I.sum()),
        "length": {
            name: float(np.mean([len(answer.ids) for answer in written]))
            for name, written in answers.items()
        },
    }
    return Outcome(records, metrics, primary, "rewarded", facts=facts)


def _metrics(contest: Contest) -> tuple[list[str], str]:
    """Returns the metrics and the one that decides; raises SpecError for those that need more than
    the written answer.
    """
    prove = contest.run.prove
    able = [METRIC, *([UNSEEN] if contest.run.source.prove_by else [])]
    able += [name for name in METRICS.names() if METRICS.get(name).reads in ("text", "grade")]
    named = prove.named
    fields = {"known": ", ".join(able)}
    problems = [
        Problem("prove.metrics", say("rollout.metric", metric=name, **fields))
        for name in named
        if name not in able and metric_class(name).reads != "grade"
    ]
    if problems:
        raise SpecError(problems)
    unseen = [name for name in able if name == UNSEEN]
    return list(dict.fromkeys([METRIC, *unseen, *named])), prove.primary or METRIC


def _settings(contest: Contest) -> Generate:
    """Returns settings for greedy answers, as long as those that were learned from."""
    return Generate(max_new_tokens=contest.run.source.max_new_tokens)


def _of(name: str, loaded: Loaded, contest: Contest) -> tuple[list[Answer], float]:
    """Returns a contender's answers, and the seconds that they took."""
    from tunesmith.models.calling.generate import generate

    started = time.perf_counter()
    render = contest.prepared.render
    answers = generate(
        loaded.model,
        loaded.tokenizer,
        [item.tokens[0].ids_T for item in contest.items],
        _settings(contest),
        stop_ids=render.stop_ids,
        share=loaded.layout == "forest",
        progress=contest.teller(say("prove.phase_write", contender=say(f"prove.{name}"))),
    )
    return answers, time.perf_counter() - started


def _worth(
    contest: Contest, answers: dict[str, list[Answer]], rewarding: Rewarding
) -> dict[str, Rewarded]:
    """Returns what each contender's answers are worth."""
    worth_of = {}
    for name, written in answers.items():
        pairs = zip(contest.items, written, strict=True)
        worth_of[name] = rewarding([asked_of(item, answer.text) for item, answer in pairs])
    rewarding.close()
    if len(rewarding.names) > 1:
        # So that weights mean what they did in training; one reward alone is told as it is.
        rewarding.calibrate(worth_of["base"].table_nR)
        for name, paid in worth_of.items():
            worth_of[name] = replace(paid, sums_n=rewarding.sums(paid.table_nR))
    return worth_of


def _row(item: Any) -> JsonObject:
    return item.tokens[0].columns["row"]


def _record(
    contest: Contest,
    place: int,
    answers: dict[str, list[Answer]],
    worth: tuple[dict[str, Rewarded], dict[str, Rewarded]],
) -> Record:
    item = contest.items[place]
    row = _row(item)
    record = Record(item.id, str(row.get("question", "")), str(row.get("answer", "")))
    record.predictions = {name: answer[place].text for name, answer in answers.items()}
    record.stopped = {name: answer[place].stopped for name, answer in answers.items()}
    record.worth, record.unseen = (
        {name: float(paid.sums_n[place]) for name, paid in kind.items()} for kind in worth
    )
    return record
