"""What is measured on one model: the watched rows, the proof rows, the general rows, and how fast
it answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

from tunesmith.errors import Stopped
from tunesmith.events.stream import Events
from tunesmith.machine import device as devices
from tunesmith.methods import Method
from tunesmith.models.adapters import beside_base
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.loading.load import Loaded
from tunesmith.plain import JsonObject
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.proving.answers import ContenderAnswers
from tunesmith.proving.interrupted import Kept, weights_in
from tunesmith.proving.judge import TUNED, metric
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import write_whole
from tunesmith.tournaments.folder import Scored
from tunesmith.tournaments.setup import Field
from tunesmith.training.evaluation.watch import Watch
from tunesmith.trials.files import put
from tunesmith.words import say

PROMPTS, NEW_TOKENS = 16, 32
"""How fast a model answers is measured on so many prompts together, each continued by so many
tokens.
"""


def watched(
    field: Field, loaded: Loaded, run: Run, stopped: Callable[[], bool]
) -> dict[str, float]:
    """Computes the watched rows' loss, and the metric that picks the rates; raises Stopped after a
    signal.
    """
    device = devices.choose(run.train.machine)
    assert run.train.micro_tokens is not None, "the plan filled it"
    watch = Watch(
        loaded,
        field.prepared.objective_of(run),
        field.prepared.watch,
        device,
        field.prepared.render,
        field.run.train.keep.model_copy(update={"evaluate": 1}),
        run.generate,
        budget=run.train.micro_tokens,
        task=field.watched,
    )
    numbers = watch.evaluate(stopped)
    if numbers is None:
        raise Stopped(say("tournament.piece_stopped"))
    return numbers


def score(
    field: Field, loaded: Loaded, run: Run, place: Scored, *, who: str, costs: bool, events: Events
) -> None:
    """Writes the scores of a model to ``place``; ``costs`` adds the general rows and the speeds.
    ``loaded`` may be changed.
    """
    devices.prepare(devices.choose(run.train.machine))
    scores: JsonObject = {"watch": watched(field, loaded, run, lambda: False)}
    kept = Kept(place.path / "scoring.jsonl")
    weights = weights_in(folder_of(run.model), *([place.run.model] if who == TUNED else []))
    contenders = ContenderAnswers(
        field.task, field.generate, events, kept, {who: weights}, writes=field.writes
    )
    contenders.model(who, loaded, weights)
    metrics = {name: metric(name) for name in field.metrics}
    lines = [
        json.dumps(record.line(metrics), ensure_ascii=False) + "\n"
        for record in contenders.records()
    ]
    write_whole(place.items, "".join(lines))
    if costs:
        rows = likelihoods(
            loaded,
            field.general,
            progress=events.progress_of(say("tournament.phase_general")),
        )
        scores["general"] = [row.sum(0).tolist() for row in rows]
        speed = events.progress_of(say("tournament.phase_speed"))
        speed(0, 2)
        scores["speed"] = tokens_per_second(field, loaded)
        speed(1, 2)
        folded = merged(loaded, METHODS.make(run.method)) if who == TUNED else None
        scores["speed_merged"] = tokens_per_second(field, folded) if folded else None
        speed(2, 2)
    put(place.score, scores)
    kept.done()


def merged(loaded: Loaded, method: Method) -> Loaded | None:
    """Returns the model with its adapter folded in; None where there is none, or none that folds.
    Changes ``loaded``.
    """
    return (
        replace(loaded, model=beside_base.merge(loaded.model))
        if method.adapter and method.merges
        else None
    )


def tokens_per_second(field: Field, loaded: Loaded) -> float | None:
    """Measures new tokens a second over a batch of proof prompts, greedy, with no token ending an
    answer; None for plain text.
    """
    from tunesmith.models.calling.generate import generate

    prompts = field.task.prompts[:PROMPTS]
    if not prompts:
        return None

    def written(count: int, new: int) -> int:
        settings = field.generate.model_copy(update={"max_new_tokens": new, "stop": ()})
        answers = generate(loaded.model, loaded.tokenizer, prompts[:count], settings, stop_ids=())
        return sum(len(answer.ids) for answer in answers)

    written(len(prompts), 1)  # what the first call sets up is no part of the speed
    began = time.perf_counter()
    tokens = written(len(prompts), NEW_TOKENS)
    return round(tokens / (time.perf_counter() - began), 2)
