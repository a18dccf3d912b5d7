"""The rows of the run's own data, in an order fixed by the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.batches.order import order_of
from tunesmith.training.sources import SOURCES, Step, StepSource
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared
    from tunesmith.machine.parallel import Processes
    from tunesmith.models.calling.loss_models import Models
    from tunesmith.settings.run import Run


@SOURCES.register
class RowSource(StepSource):
    """Every training row once an epoch; a step is a pure function of its number."""

    def open(self, run: Run, prepared: Prepared, processes: Processes) -> None:
        """Fixes the order of the training rows."""
        self.items = prepared.train
        self.order = order_of(run, len(self.items))
        self.total = self.order.total(run.train.epochs, run.train.steps)

    def step(self, number: int, models: Models) -> Step:
        """Takes the rows that the order has for this step."""
        items = [self.items[row] for row in self.order.taken(number)]
        return Step([[item.tokens for item in items]], [item.id for item in items])

    def epoch(self, steps: int) -> float:
        """Returns the passes over the training rows."""
        return self.order.epoch(steps)

    def told(self) -> list[str]:
        """Returns a line: how many steps the rows make."""
        rows = len(self.items)
        batch = self.order.batch
        return [say("train.steps", total=self.total, rows=rows, batch=batch)]
