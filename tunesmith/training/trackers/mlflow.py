"""MLflow; ``MLFLOW_TRACKING_URI`` names the server or folder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.training.trackers import TRACKERS, Tracker


@TRACKERS.register
class Mlflow(Tracker):
    """A log in MLflow."""

    package = "mlflow"
    errors = ("mlflow.exceptions:MlflowException",)

    class Config(Spec):
        """Where it goes."""

        experiment: str = "tunesmith"
        """Experiment that the run is listed under."""

    def start(self, folder: Path, settings: JsonObject) -> None:
        """Opens the run."""
        self._mlflow = import_module(self.package)
        self._mlflow.set_experiment(self.config.experiment)
        self._mlflow.start_run(run_name=folder.name)
        for group, value in settings.items():
            self._mlflow.log_param(group, str(value)[:500])  # MLflow refuses longer values.

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Sends the numbers of a step in one call."""
        self._mlflow.log_metrics(numbers, step=step)

    def finish(self) -> None:
        """Closes the run."""
        self._mlflow.end_run()
