"""SwanLab; ``SWANLAB_MODE=local`` keeps everything on this machine."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.training.trackers import TRACKERS, Tracker


@TRACKERS.register
class Swanlab(Tracker):
    """A log in SwanLab."""

    package = "swanlab"
    errors = ("swanlab.exceptions:AuthenticationError", "swanlab.exceptions:DataStoreError")

    class Config(Spec):
        """Where it goes."""

        project: str = "tunesmith"
        """Project that the run is listed under."""

    def start(self, folder: Path, settings: JsonObject) -> None:
        """Opens the run."""
        logs = str(folder / "swanlab")
        self._run = import_module(self.package).init(
            project=self.config.project, experiment_name=folder.name, logdir=logs, config=settings
        )

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Sends the numbers of a step in one call."""
        self._run.log(numbers, step=step)

    def finish(self) -> None:
        """Closes the run."""
        self._run.finish()
