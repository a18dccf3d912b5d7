"""What the loop works with: the models, the source of its steps, the optimizer; and where it
stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tunesmith.batches.batch import Batch
from tunesmith.batches.micro_batches import Example, micro_batches
from tunesmith.events.stream import Events
from tunesmith.machine.device import Device
from tunesmith.methods import Method
from tunesmith.models.calling.routing import Routers
from tunesmith.models.loading.load import Loaded
from tunesmith.models.structure.zeros import KeptZeros
from tunesmith.objectives import Objective
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Run
from tunesmith.training.schedules import Schedule
from tunesmith.training.sources import StepSource


@dataclass
class Position:
    """Where a run stands. ``updates`` counts the steps that moved the weights; it is what the
    schedule sees.
    """

    step: int = 0
    updates: int = 0
    skipped: int = 0
    skipped_in_row: int = 0
    halvings: int = 0
    """How often micro-batches were halved because memory ran out."""
    unseen: bool = True
    """Whether the evaluation due at this step has still to be made; the base's, before step 1, is.
    """

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return dict(vars(self))

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        vars(self).update(state)


class Backward:
    """What stands between the losses of an update and its gradient; this one adds them up.

    A privacy mechanism takes its place: with ``apart`` every example comes alone, so that ``add``
    can clip what it gives, and ``finish`` adds noise to the sum.
    """

    apart: bool = False
    """Whether every example is a micro-batch of its own."""

    def add(self, work: Work, total: torch.Tensor, batch: Batch, units: float) -> None:
        """Adds the gradient of ``total / units`` to the weights' ``grad``; ``units`` are those of
        the whole update.
        """
        work.device.backward(total, units)

    def finish(self, work: Work) -> None:
        """Changes the gradient once it is summed over all processes, before it is clipped."""


@dataclass
class Work:
    """What a run works with; made by ``preparing.py``."""

    run: Run
    source: StepSource
    """Where the examples of each step come from."""
    model: Loaded
    objective: Objective
    method: Method
    routers: Routers
    """Those of a model that is a mixture of experts."""
    zeros: KeptZeros
    """The weights that pruning set to zero."""
    device: Device
    named: list[tuple[str, torch.nn.Parameter]]
    """The trained weights: the policy's, and those of a trained role as ``role/name``."""
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    warmup: int
    learning_rate: float
    """At the peak."""
    micro_tokens: int
    evaluate_every: int
    save_every: int
    roles: JsonObject = field(default_factory=dict)
    """The models beside the policy that every step looks at."""
    backward: Backward = field(default_factory=Backward)
    events: Events = field(default_factory=Events)
    """Where it says what happens."""

    @property
    def total(self) -> int:
        """Steps of the run."""
        return self.source.total

    @property
    def parts(self) -> list[list[torch.nn.Parameter]]:
        """The weights of the policy, and of each trained role: the gradient of one is not clipped
        for the sake of another.
        """
        by_part: dict[str, list[torch.nn.Parameter]] = {"": []}
        for name, weight in self.named:
            role, apart, _ = name.partition("/")
            by_part.setdefault(role if apart else "", []).append(weight)
        return list(by_part.values())

    @property
    def models(self) -> JsonObject:
        """The policy and the models beside it, as losses find them."""
        return {"policy": self.model.model, **self.roles}

    def tokens(self, halvings: int) -> int:
        """Returns how many tokens a micro-batch may hold after so many halvings; 0 where each
        example comes alone.
        """
        return 0 if self.backward.apart else self.micro_tokens >> halvings

    def batches(self, examples: Sequence[Example], halvings: int = 0) -> list[Batch]:
        """Makes this process's micro-batches of one update, as many as any other process has."""
        rank, world = self.device.processes.share
        return micro_batches(
            examples,
            self.tokens(halvings),
            lay=self.model.lay,
            padded=self.model.layout == "padded",
            unit=self.objective.unit,
            waste=self.device.pass_tokens,
            rank=rank,
            world=world,
        )

    def rate(self, updates: int) -> float:
        """Returns the learning rate of the next update."""
        return self.learning_rate * self.schedule.factor(
            updates, self.total * self.source.passes, self.warmup, self.run.train.cycles
        )
