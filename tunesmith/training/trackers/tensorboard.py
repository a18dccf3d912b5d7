"""TensorBoard event files in the run's folder."""

from __future__ import annotations

from pathlib import Path

from tunesmith.plain import JsonObject
from tunesmith.training.trackers import TRACKERS, Tracker


@TRACKERS.register
class Tensorboard(Tracker):
    """A log in ``RUN/tensorboard``; look at it with ``tensorboard --logdir RUN``."""

    package = "tensorboard"

    def start(self, folder: Path, settings: JsonObject) -> None:
        """Opens the event file."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Writes one scalar for each number."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        """Flushes and closes the event file."""
        self._writer.close()
