"""The watched held-out rows during training: their loss, a metric that may decide which checkpoint
is best, and patience.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tunesmith.batches.batch import added
from tunesmith.batches.micro_batches import micro_batches
from tunesmith.data.prepare import Item
from tunesmith.data.rendering.render import Render
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Event
from tunesmith.machine.device import Device
from tunesmith.metrics import METRICS
from tunesmith.models.calling.forwards import BrokenOff
from tunesmith.models.loading.load import Loaded
from tunesmith.objectives import Objective
from tunesmith.outputs import Watched
from tunesmith.plain import JsonObject
from tunesmith.proving.task import Task
from tunesmith.settings.run import Generate, Keep
from tunesmith.words import say


def held_out_loss(
    model: Loaded,
    objective: Objective,
    items: Sequence[Item],
    device: Device,
    *,
    budget: int,
    stopped: Callable[[], bool],
    roles: JsonObject | None = None,
) -> dict[str, float] | None:
    """Computes the objective's metrics over ``items``, every unit counting the same; None when
    ``stopped`` returned true on the way.
    """
    processes, seen = device.processes, []
    models = {"policy": model.model, **(roles or {})}
    model.model.eval()
    with torch.no_grad(), device.autocast():
        batches = micro_batches(
            [item.tokens for item in items],
            budget,
            lay=model.lay,
            padded=model.layout == "padded",
            unit=objective.unit,
            rank=processes.share[0],
            world=processes.share[1],
        )
        objective.prepare(models, batches, processes)
        for batch in batches:
            if stopped():
                return None
            metrics = objective.loss(models, batch).metrics
            seen.append({} if batch.idle else metrics)
    return {name: ratio.value for name, ratio in processes.merge(added(seen)).items()}


@dataclass
class Best:
    """Which evaluation was best, and how many since were not."""

    keep: Keep
    higher: bool = False
    value: float | None = None
    step: int | None = None
    since: int = 0

    def see(self, step: int, evaluation: dict[str, float]) -> bool:
        """Tells whether this evaluation is the best so far; the base, at step 0, does not count."""
        value = evaluation.get(self.keep.best_by, math.nan)
        if step == 0 or value != value:
            return False
        if self.value is not None and (value <= self.value if self.higher else value >= self.value):
            self.since += 1
            return False
        self.value, self.step, self.since = value, step, 0
        return True

    @property
    def exhausted(self) -> bool:
        """Whether patience is used up."""
        return 0 < self.keep.patience <= self.since

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {"value": self.value, "step": self.step, "since": self.since}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        self.value, self.step, self.since = state["value"], state["step"], state["since"]


@dataclass
class Watch:
    """The evaluation of one run."""

    model: Loaded
    objective: Objective
    items: list[Item]
    device: Device
    render: Render
    keep: Keep
    settings: Generate
    budget: int
    task: Task | None = None
    """The rows with their options, for a metric of choices."""
    only_measured: bool = False
    """Whether nothing is chosen by the rows, because they are too few, or those of the proof."""
    roles: JsonObject = field(default_factory=dict)
    """The models beside the policy."""
    measure: Callable[[list[Item], Callable[[], bool]], dict[str, float] | None] | None = None
    """What is measured in place of the loss, where the objective learns from samples."""
    seen: Callable[[int], list[Event]] = field(default=lambda _: [])
    """What an evaluation at that step showed beside its numbers."""
    best: Best = field(init=False)
    _metric: Any = None

    def __post_init__(self) -> None:
        measured = self.objective.measured()
        if self.keep.best_by != "loss" and self.keep.best_by not in measured:
            self._metric = _metric(self.keep.best_by)
        higher = self._metric.higher if self._metric else measured.get(self.keep.best_by, False)
        self.best = Best(self.keep, higher=higher)

    @property
    def used(self) -> bool:
        """Whether there are rows to watch and the run wants it."""
        return bool(self.items) and self.keep.evaluate != 0

    def evaluate(self, stopped: Callable[[], bool]) -> dict[str, float] | None:
        """Returns the numbers of one evaluation; None when it was stopped."""
        if self.measure is not None:
            return self.measure(self.items, stopped)
        options: Any = {"budget": self.budget, "stopped": stopped, "roles": self.roles}
        numbers = held_out_loss(self.model, self.objective, self.items, self.device, **options)
        if numbers is None or self._metric is None or self.only_measured:
            return numbers
        score = self._score(numbers, stopped)
        if score is None:
            return None
        # On GPUs two processes may differ in an answer, and must not differ in what is best.
        firsts = self.device.processes.on_first(lambda: score)
        return numbers | {self.keep.best_by: firsts}

    def _score(self, found: dict[str, float], stopped: Callable[[], bool]) -> float | None:
        if self._metric.reads == "nll":
            return found["loss"]
        watched = Watched(
            self.model, self.items, self.render, self.settings, self.budget, self.task, stopped
        )
        try:
            with self.device.autocast():
                return self.objective.output.score(self._metric, watched)
        except BrokenOff:
            return None


def _metric(name: str) -> Any:
    """Returns the metric by name; raises SpecError where there is none."""
    if name not in METRICS.names():
        names = ", ".join(["loss", *METRICS.names()])
        raise SpecError(Problem("train.keep.best_by", say("train.best_by", name=name, known=names)))
    return METRICS.make(METRICS.config(name))
