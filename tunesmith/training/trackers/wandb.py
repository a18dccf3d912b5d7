"""Weights & Biases; ``WANDB_MODE=offline`` keeps everything on this machine."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.training.trackers import TRACKERS, Tracker


@TRACKERS.register
class Wandb(Tracker):
    """A log in wandb."""

    package = "wandb"
    errors = ("wandb.errors:Error",)

    class Config(Spec):
        """Where it goes."""

        project: str = "tunesmith"
        """Project that the run is listed under."""

    def start(self, folder: Path, settings: JsonObject) -> None:
        """Opens the run."""
        self._run = import_module(self.package).init(
            project=self.config.project, name=folder.name, dir=str(folder), config=settings
        )

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Sends the numbers of a step in one call."""
        self._run.log(numbers, step=step)

    def finish(self) -> None:
        """Closes the run."""
        self._run.finish()
