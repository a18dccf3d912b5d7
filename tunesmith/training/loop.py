"""The loop: what one step of training is, and the order in which a run evaluates, saves and stops.

The run's source says which examples a step takes, for rows fixed by (seed, epoch, position), in
one update or several; the token budget only decides how they are cut. The gradient of an update is
one sum, over all micro-batches and processes, divided once by the units of the whole.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import torch

from tunesmith.batches.batch import Batch, Ratio, added
from tunesmith.batches.micro_batches import Example
from tunesmith.errors import DiskError, SamplerLost, Stopped, TrainingError
from tunesmith.events.run import Fault, MemoryShort, NotFinite, Overflow, StepMade
from tunesmith.events.stream import Line
from tunesmith.models.structure.divided import own_part
from tunesmith.training.health import Apart, Rule, Unmoved
from tunesmith.training.work import Position, Work
from tunesmith.words import say

SKIPS = 3
"""Steps in a row that may be left out because their loss or gradient is not finite."""


class Look(Protocol):
    """The evaluations of a run."""

    @property
    def exhausted(self) -> bool:
        """Whether patience is used up."""
        ...

    @property
    def held_out(self) -> float | None:
        """The held-out loss of the last evaluation, where there is one."""
        ...

    def __call__(self, step: int) -> bool:
        """Evaluates; returns False when a signal interrupted it."""
        ...


def fit(
    work: Work,
    at: Position,
    *,
    rules: Sequence[Rule],
    look: Look,
    save: Callable[[int], bool],
    stopped: Callable[[], str | None],
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """Trains from ``at`` to the end, or to the step after which ``enough`` says so; Stopped after a
    signal, TrainingError when the numbers are past saving.

    At each step number, in this order: the evaluation that is due, a stop that was asked for, the
    checkpoint that is due, the end. A checkpoint so knows whether its evaluation was made, and a
    resumed run repeats nothing.
    """
    rules = [*rules, Unmoved(work.named, at.updates), Apart(work.device.precision)]
    while True:
        if at.unseen:
            at.unseen = not look(at.step)
        signal = stopped()
        done = at.step >= work.total or look.exhausted or enough()
        due = at.step > 0 and work.save_every and at.step % work.save_every == 0
        if signal is not None or done or due:
            refuse_not_finite(work, at, look.held_out if done else None, done=done)
        if signal is not None:
            if not save(at.step):
                raise DiskError(say("train.stopped_unsaved", signal=signal, step=at.step))
            raise Stopped(say("train.stopped", signal=signal, step=at.step, out=work.run.out))
        if done or due:
            save(at.step)
        if done:
            return
        try:
            numbers = take_step(work, at)
        except SamplerLost as error:
            # Nothing of the step was done, so the run goes on from here.
            if not save(at.step):
                raise
            fields = {"reason": str(error), "step": at.step, "out": work.run.out}
            raise Stopped(say("train.sampler_lost", **fields)) from None
        at.step += 1
        at.unseen = at.step == work.total or (
            work.evaluate_every > 0 and at.step % work.evaluate_every == 0
        )
        if numbers is None:
            continue
        numbers["epoch"] = round(work.source.epoch(at.step), 4)
        made = StepMade(at.step, work.total, at.updates, numbers)
        work.events(made)
        for event in filter(None, [rule.see(made) for rule in rules]):
            work.events(event)
        for text in work.source.faults():
            work.events(Fault(at.step, text))


def refuse_not_finite(work: Work, at: Position, held_out: float | None, *, done: bool) -> None:
    """Raises TrainingError, before anything is saved, where the weights are not finite, or where
    the run would end on a step or a held-out loss that is not finite. The weights are checked
    first: they are the cause.
    """
    fields = {"step": at.step, "folder": work.run.out}
    names_here = [
        name
        for name, weight in work.named
        if not bool(torch.isfinite(own_part(weight.detach())).all())
    ]
    # A process may hold a part that is finite.
    parts = work.device.processes.everyones(names_here)
    spoiled = list(dict.fromkeys(name for part in parts for name in part))
    if spoiled:
        names = ", ".join(spoiled[:3]) + (", …" if len(spoiled) > 3 else "")
        fields |= {"count": len(spoiled), "of": len(work.named), "names": names}
        raise TrainingError(say("train.weights_not_finite", **fields))
    if done and at.skipped_in_row:
        raise TrainingError(say("train.ends_not_finite", **fields))
    if held_out is not None and not math.isfinite(held_out):
        raise TrainingError(say("train.ends_evaluation_not_finite", **fields, loss=held_out))


def take_step(work: Work, at: Position) -> Line | None:
    """Makes the updates of one step and gives its numbers; None when it was left out because they
    stayed not finite. Several updates are told as one: their metrics over all of them, rate and
    norm of the last.

    An update that is left out moves neither weights nor schedule. It is tried twice, because
    dropout draws anew; fp16 overflows lower the loss scale, short memory the size of micro-batches,
    and neither counts.
    """
    started = time.perf_counter()
    work.device.meter.spent()  # what was spent between the steps is no step's
    step = work.source.step(at.step, work.models)
    metrics: list[dict[str, Ratio]] = []
    batches: list[Batch] = []
    numbers: Line = dict(step.numbers)
    for examples in step.passes:
        cuts = work.batches(examples, at.halvings)
        for attempt in (1, 2):
            while True:
                with suppress(torch.OutOfMemoryError):
                    measured, norm = gradient(work, cuts, at.step + 1)
                    break
                cuts = halved(work, at, examples, cuts)
            loss = measured["loss"].value
            if math.isfinite(loss) and math.isfinite(norm):
                break
            work.optimizer.zero_grad(set_to_none=True)
            work.events(NotFinite(at.step + 1, attempt, loss, norm, step.ids))
        else:
            leave_out(at, step.ids)
            return None
        batches += cuts
        metrics.append(measured)
        numbers |= {"learning_rate": update(work, at), "grad_norm": norm}
    numbers |= {name: ratio.value for name, ratio in added(metrics).items()}
    return numbers | amounts(work, batches, time.perf_counter() - started)


def leave_out(at: Position, ids: Sequence[str]) -> None:
    """Counts a step that is left out; raises TrainingError after too many in a row."""
    at.skipped += 1
    at.skipped_in_row += 1
    if at.skipped_in_row > SKIPS:
        fields = {"count": at.skipped_in_row, "step": at.step + 1, "rows": ", ".join(ids)}
        raise TrainingError(say("train.never_finite", **fields))


def halved(
    work: Work, at: Position, examples: Sequence[Example], batches: Sequence[Batch]
) -> list[Batch]:
    """Divides an update whose ``batches`` do not fit into memory into smaller micro-batches, for
    the rest of the run too: they add up to the same gradient, which is computed again.

    TrainingError where a micro-batch is one example already, and where other processes wait for
    this one's part of the sum.
    """
    work.optimizer.zero_grad(set_to_none=True)
    work.device.give_back()
    smaller = batches
    # A smaller budget alone may cut nothing: a row that is longer than it stays whole.
    while len(smaller) == len(batches):
        if work.device.processes.several or not work.tokens(at.halvings + 1):
            largest = max(len(batch.ids_T) for batch in batches)
            raise TrainingError(say("train.memory_out", step=at.step + 1, tokens=largest))
        at.halvings += 1
        smaller = work.batches(examples, at.halvings)
    work.events(MemoryShort(at.step + 1, work.tokens(at.halvings), len(smaller)))
    return list(smaller)


def gradient(work: Work, batches: list[Batch], step: int) -> tuple[dict[str, Ratio], float]:
    """Computes the metrics of an update and the norm of its gradient, which is left, clipped, in
    the weights' ``grad``.
    """
    device, models = work.device, work.models
    # Counted before the first backward: each loss is divided by the units of the whole update as it
    # comes, and the sum of the gradients needs no second division.
    units = device.processes.sum(sum(batch.units for batch in batches))[0]
    work.model.model.train()
    while True:
        with device.autocast():
            work.objective.prepare(models, batches, device.processes)
        seen: list[dict[str, Ratio]] = []
        for batch in batches:
            with device.autocast():
                loss = work.objective.loss(models, batch)
                total = loss.total + work.method.penalty(batch) + work.routers.penalty(batch)
            # An idle batch goes backwards too, and adds nothing.
            work.backward.add(work, total * 0.0 if batch.idle else total, batch, units)
            if not batch.idle:
                seen.append(loss.metrics | work.method.metrics() | work.routers.metrics())
        metrics = device.processes.merge(added(seen))
        weights = [parameter for _, parameter in work.named]
        device.add_up(weights)
        work.backward.finish(work)
        norm = device.clip(work.parts, work.run.train.clip)
        # A finite loss with an infinite gradient is the doing of the loss scale, not of the rows.
        overflow = (
            device.scale is not None
            and math.isfinite(metrics["loss"].value)
            and not math.isfinite(norm)
        )
        if not (overflow and device.scale is not None and device.scale.overflow()):
            return metrics, norm
        work.events(Overflow(step, device.scale.value))
        work.optimizer.zero_grad(set_to_none=True)


def update(work: Work, at: Position) -> float:
    """Moves the weights along the gradient they hold, and gives the learning rate that was used."""
    rate = work.rate(at.updates)
    for group in work.optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
    work.optimizer.step()
    # The gradient of a pruned weight is not zero, nor is what the optimizer makes of it.
    work.zeros.restore()
    if work.device.scale:
        work.device.scale.step()
    work.method.after_step(at.step + 1)
    work.optimizer.zero_grad(set_to_none=True)
    at.updates += 1
    at.skipped_in_row = 0
    return rate


def amounts(work: Work, batches: list[Batch], seconds: float) -> Line:
    """Measures what the step took. Tokens per second counts every token of the rows once, shared or
    not, and no padding.
    """
    real = [batch for batch in batches if not batch.idle]
    trained = sum(len(batch.scored_N) for batch in real)
    read = sum(len(tokens) for batch in real for example in batch.sequences for tokens in example)
    spent = work.device.meter.spent() or 0.0
    trained, read, spent = work.device.processes.sum(float(trained), float(read), spent)
    numbers: Line = {
        "tokens": int(trained),
        "tokens_per_second": round(read / seconds, 1),
        "memory_gib": work.device.peak_memory(),
        "held_gib": work.device.held_memory(),
        "seconds": round(seconds, 4),
    }
    return numbers | {"joules": round(spent, 3)} if spent else numbers
