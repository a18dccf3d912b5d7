"""Measures the largest micro-batch on the loaded model, and the answers to own questions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.batches.micro_batches import computed
from tunesmith.batches.order import order_of
from tunesmith.plain import JsonObject
from tunesmith.proving.task import evenly
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import Run
from tunesmith.training.evaluation.questions import Questions
from tunesmith.training.evaluation.rows import watched_rows

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared
    from tunesmith.machine.device import Device
    from tunesmith.models.loading.load import Loaded
    from tunesmith.planning.plan import Plan

LONG = 20.0
"""Seconds of a pass that is not made twice to be timed."""
SOME_STEPS = 32
"""Steps whose tokens are counted, spread over the run; they stand for all."""
WRITTEN = 8
"""Tokens of the answers that are timed; each of the others takes as long."""


def probe_run(plan: Plan, folder: Path, device: Device) -> None:
    """Loads the model and notes what is measured among the facts of the plan."""
    from tunesmith.machine.device import prepare
    from tunesmith.training.preparing import load_base

    run = plan.resolved.run
    assert plan.prepared is not None and run.train.micro_tokens is not None
    prepare(device)
    loaded = load_base(folder, run, device, plan.prepared.objective)
    plan.facts["layout"] = loaded.layout
    plan.facts["probe"] = {
        **measure(loaded, run, plan.prepared, device, micro_tokens=run.train.micro_tokens),
        **_tokens(plan, plan.prepared, padded=loaded.layout == "padded"),
        **_answers(loaded, run, plan.prepared),
    }


def measure(
    loaded: Any, run: Run, prepared: Any, device: Any, *, micro_tokens: int
) -> dict[str, float]:
    """Runs the largest micro-batch with the method applied, first as an evaluation reads it, then
    forwards and backwards: tokens, peak (GiB) and seconds.
    """
    import torch

    from tunesmith.batches.batch import Batch
    from tunesmith.batches.micro_batches import cut
    from tunesmith.models.roles import roles_of
    from tunesmith.training.reference import blank

    beside = roles_of(prepared.objective.roles, run)
    for role in beside:
        role.load(loaded.model.dtype, device.place)
    method = METHODS.make(run.method)
    model = loaded.model = method.apply(loaded.model)
    looked = {role.name: role.model(loaded, method) for role in beside if not role.only_watched}
    models = {"policy": model, **looked}
    objective = prepared.objective
    items = blank(objective, prepared.train)
    longest = sorted((item.tokens for item in items), key=lambda tokens: -max(map(len, tokens)))[
        : run.train.batch
    ]
    groups = cut(longest, micro_tokens, padded=loaded.layout == "padded")
    batches = [
        Batch.grow([longest[index] for index in group], unit=objective.unit) for group in groups
    ]
    batch = loaded.lay(max(batches, key=lambda batch_: len(batch_.ids_T)))
    model.eval()

    def looks() -> None:
        with torch.no_grad(), device.autocast():
            objective.prepare(models, [batch], device.processes)
            float(objective.loss(models, batch).total)  # waits for a GPU

    def learns() -> None:
        model.zero_grad(set_to_none=True)
        with device.autocast():
            objective.prepare(models, [batch], device.processes)
            loss = objective.loss(models, batch)
        (loss.total / max(batch.units, 1.0)).backward()
        loss.total.item()

    read = _timed(looks)
    model.train()
    seconds = _timed(learns)
    return {
        "tokens": len(batch.ids_T),
        "peak_gib": device.peak_memory() or float("nan"),
        "seconds": round(seconds, 4),
        "read_seconds": round(read, 4),
    }


def _timed(work: Callable[[], None]) -> float:
    """Returns the seconds of a second call, for the first touches memory anew: 10 s against 5 to
    8 s (a step of the starter, 608 tokens, a CPU). A call that takes long stands for itself.
    """
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        if seconds > LONG:
            break
    return seconds


def _tokens(plan: Plan, prepared: Prepared, *, padded: bool) -> dict[str, float]:
    """Counts the tokens that the model computes for a step, in the mean, and for an evaluation:
    those that rows share stand once in a micro-batch, so the sum of the rows would be too many.
    """
    run, facts = plan.resolved.run, plan.facts
    assert run.train.micro_tokens is not None, "the plan has settled it"
    order = order_of(run, len(prepared.train))
    budget = run.train.micro_tokens
    chosen = evenly(range(facts["steps"]), SOME_STEPS)
    counted = [
        computed([prepared.train[row].tokens for row in order.taken(step)], budget, padded=padded)
        for step in chosen
    ]
    looked = [item.tokens for item in watched_rows(prepared)]
    return {
        "step_tokens": round(sum(counted) / len(counted), 1),
        "look_tokens": computed(looked, budget, padded=padded),
    }


def _answers(loaded: Loaded, run: Run, prepared: Prepared) -> JsonObject:
    """Measures how long it takes to answer all own questions, each to the limit of its length."""
    most = run.generate.max_new_tokens
    some = min(WRITTEN, most)
    few = {"generate": run.generate.model_copy(update={"max_new_tokens": some})}
    questions = Questions.of(run.model_copy(update=few), prepared, loaded.limit)
    if not questions.asked:
        return {"questions": 0, "answer_seconds": 0.0}
    began = time.perf_counter()
    questions.answers(loaded.model, lambda: False)
    times = most / some if prepared.objective.output.writes else 1.0
    seconds = times * (time.perf_counter() - began)
    return {"questions": len(questions.asked), "answer_seconds": round(seconds, 4)}
