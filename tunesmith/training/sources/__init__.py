"""Where the examples of each step come from: one source a file. A source may ask the models for
them, and says how many steps there are; how a step is cut and added up is the loop's alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.batches.micro_batches import Example
from tunesmith.events.stream import Event
from tunesmith.settings.family import SOURCES
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.data.rows import Progress
    from tunesmith.machine.device import Device
    from tunesmith.machine.parallel import Processes
    from tunesmith.models.calling.loss_models import Models
    from tunesmith.models.loading.load import Loaded
    from tunesmith.objectives import Objective
    from tunesmith.settings.run import Run

__all__ = ["SOURCES", "Step", "StepSource", "prepare_with_source", "with_source"]


@dataclass(frozen=True)
class Step:
    """What one step trains, the same in every process."""

    passes: Sequence[Sequence[Example]]
    """The examples of each update, in order; without any the weights stay as they are."""
    ids: Sequence[str]
    """The rows by name, for a step whose numbers are not finite."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What the source measured, for the record."""


class StepSource:
    """Base of the sources. It is opened once the rows are known, and is a part of every
    checkpoint.
    """

    name: ClassVar[str]
    passes: int = 1
    """Updates of a step at most."""
    total: int
    """Steps of the run; known once it is open."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def widened(self, run: Run, prepared: Prepared, progress: Progress | None) -> Prepared:
        """Adds rows of its own to ``prepared``, before anything of a model is loaded."""
        return prepared

    def check(self, run: Run, prepared: Prepared, limit: int | None) -> None:
        """Raises SpecError for rows that it cannot work with; ``limit`` is the model's longest
        sequence (tokens), where it has one.
        """

    def longest(self, row: int) -> int:
        """Returns the longest sequence of a step (tokens), where ``row`` is the longest of the
        rows.
        """
        return row

    def folders(self) -> list[Path]:
        """Returns the folders of the models that it loads beside the policy."""
        return []

    def open(self, run: Run, prepared: Prepared, processes: Processes) -> None:
        """Takes the rows as they are trained."""
        raise AssertionError(f"source {self.name} has no open")

    def meet(self, policy: Loaded, objective: Objective, device: Device) -> None:
        """Takes the policy under its method and the objective, for a source that asks them."""

    def preview(self, models: Models) -> list[str]:
        """Returns lines on what a step will learn from, before the first; raises SpecError where
        that is nothing.
        """
        return []

    def step(self, number: int, models: Models) -> Step:
        """Makes step ``number`` (from 0); ``models`` are the current policy and the roles."""
        raise AssertionError(f"source {self.name} has no step")

    def epoch(self, steps: int) -> float:
        """Returns the passes over the data after ``steps``."""
        raise AssertionError(f"source {self.name} has no epoch")

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the data."""
        return max(1, math.ceil(round(1 / self.epoch(1), 6)))

    def told(self) -> list[str]:
        """Returns lines for the person before the first step."""
        return []

    def watched(
        self, items: Sequence[Item], stopped: Callable[[], bool]
    ) -> dict[str, float] | None:
        """Measures the policy on watched rows, where that is not the objective's loss; None when
        ``stopped`` said so on the way.
        """
        raise AssertionError(f"source {self.name} measures nothing")

    def seen(self, step: int) -> list[Event]:
        """Returns what the last ``watched`` showed beside its numbers, at ``step``."""
        return []

    def close(self) -> None:
        """Ends what it began beside this process; the run is over, or never began."""

    def faults(self) -> list[str]:
        """Returns lines on what went wrong since the last call without ending the run."""
        return []

    def state(self) -> dict[str, Any]:
        """Returns the tensors and facts that the next step reads and that its number does not
        determine.
        """
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""


def with_source(run: Run, prepared: Prepared, progress: Progress | None = None) -> Prepared:
    """Adds the rows of the run's source to ``prepared``, once."""
    if prepared.widened:
        return prepared
    return replace(SOURCES.make(run.source).widened(run, prepared, progress), widened=True)


def prepare_with_source(
    run: Run, tokenizer: Tokenizer, progress: Progress | None = None, limit: int | None = None
) -> Prepared:
    """Prepares the rows of a run, and those that its source adds; ``limit`` is the model's own
    longest sequence (tokens).
    """
    from tunesmith.data.prepare_once import prepare_once

    return with_source(run, prepare_once(run, tokenizer, limit=limit, progress=progress), progress)
