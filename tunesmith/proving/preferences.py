"""The proof of preferences: how likely tuned and base find the answers of the same held-out rows,
and what they gained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.prepare import Item
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.examples import Feedback, chats_of, prompt_of, question_of
from tunesmith.metrics.reward_auc import DESIRABLE
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.proving.judge import TUNED
from tunesmith.proving.record import Record
from tunesmith.settings.family import METRICS
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

Known = list[np.ndarray]
"""For each item [sides, 2]: log-probability (nats) and tokens of its answers, chosen first."""


def metrics_of(run: Run, objective: Any, *, judged: bool) -> tuple[list[str], str, str]:
    """Returns the metrics, the one that decides, and the key of the reason; raises SpecError for
    metrics that such rows do not allow. ``judged`` answers stand alone, others in pairs.
    """
    usual = ["reward_auc"] if judged else ["reward_accuracy", "pair_accuracy"]
    if not judged and "reference" not in objective.roles:
        usual.reverse()
    able = [
        name
        for name in METRICS.names()
        if METRICS.get(name).reads in (("judged",) if judged else ("pair", "reward", "nll"))
    ]
    wanted = refuse_others(run, able)
    names: list[str] = list(
        dict.fromkeys([*(wanted or usual), *usual, *([] if judged else ["nll"])])
    )
    primary = run.prove.primary or names[0]
    return (
        names,
        primary,
        "given"
        if wanted
        else {"reward_auc": "judged", "reward_accuracy": "gained"}.get(primary, "likelier"),
    )


def refuse_others(run: Run, able: Sequence[str]) -> list[str]:
    """Returns the metrics that the run asks for; raises SpecError for those that its rows do not
    allow.
    """
    wanted = run.prove.named
    problems = [
        Problem(
            "prove.metrics",
            say(
                "prove.needs_other",
                metric=name,
                objective=run.objective.name,
                known=", ".join(able),
            ),
        )
        for name in wanted
        if name not in able
    ]
    if problems:
        raise SpecError(problems)
    return wanted


def refuse_one_kind(items: Sequence[Item]) -> None:
    """Raises DataError where all judged answers are of one kind: how often a good one beats a bad
    one is then undefined.
    """
    kinds = {item.example.desirable for item in items if isinstance(item.example, Feedback)}
    if len(kinds) == 1:
        key = "prove.no_bad" if kinds.pop() else "prove.no_good"
        raise DataError(Problem("data.held_out", say(key, rows=len(items))))


def known(loaded: Loaded, items: Sequence[Item], events: Events) -> Known:
    """Computes the likelihoods of the items' answers under a model."""
    rows = likelihoods(
        loaded,
        [item.tokens for item in items],
        progress=events.progress_of(say("prove.phase_pairs")),
    )
    return [_sides(item, row) for item, row in zip(items, rows, strict=True)]


def _sides(item: Item, row: np.ndarray) -> np.ndarray:
    """Adds up the sequences of each answer: an answer of several turns may have several."""
    sides = np.array([tokens.columns.get("side", 0) for tokens in item.tokens])
    return np.stack([row[sides == side].sum(0) * (-1, 1) for side in np.unique(sides)])


def records(items: Sequence[Item], base: Known, tuned: Known) -> list[Record]:
    """Returns the lines of items.jsonl. A reward is what an answer gained over the base, without
    beta.
    """
    return [
        _record(item, {"base": before, TUNED: after}, before)
        for item, before, after in zip(items, base, tuned, strict=True)
    ]


def _record(item: Item, by: dict[str, np.ndarray], base: np.ndarray) -> Record:
    example = item.example
    assert example is not None, f"{item.id} is held out and so keeps its example"
    prompt = prompt_of(example)
    chats = chats_of(example)
    gained = {name: (sides[:, 0] - base[:, 0]).tolist() for name, sides in by.items()}
    record = Record(item.id, question_of(prompt) if prompt else "", chats[0].answer)
    record.answers = [chat.answer for chat in chats]
    if isinstance(example, Feedback):
        record.reference = DESIRABLE if example.desirable else "undesirable"
        record.rewards = {name: values[0] for name, values in gained.items()}
        return record
    record.rewards = gained
    record.pairs = {name: (sides[:, 0] / sides[:, 1]).tolist() for name, sides in by.items()}
    for name, sides in by.items():
        total, tokens = sides[0]
        record.nll[name] = [-float(total), float(tokens)]
    return record
