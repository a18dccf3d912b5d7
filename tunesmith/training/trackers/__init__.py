"""Where the record's numbers go besides the run folder: one tracker a file, its package imported inside."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.errors import Problem
from tunesmith.spec import TRACKERS, Spec
from tunesmith.words import say

__all__ = ["TRACKERS", "Tracker", "missing_packages"]


class Tracker:
    """Base of the trackers."""

    name: ClassVar[str]
    package: ClassVar[str]
    """What has to be installed, by its import name and its name for pip."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def start(self, folder: Path, settings: dict[str, Any]) -> None:
        """Opens a run named after ``folder``, with the run's settings."""
        raise AssertionError(f"tracker {self.name} has no start")

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Sends one step's numbers."""
        raise AssertionError(f"tracker {self.name} has no log")

    def finish(self) -> None:
        """Closes the run."""


def missing_packages(configs: Sequence[Any]) -> list[Problem]:
    """A problem for each tracker whose package is not installed, with the command that installs it."""
    needed = [(index, config.name, TRACKERS.get(config.name).package) for index, config in enumerate(configs)]
    return [
        Problem(f"track.{index}", say("train.tracker_missing", name=name, package=package))
        for index, name, package in needed
        if importlib.util.find_spec(package) is None
    ]
