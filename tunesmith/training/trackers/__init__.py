"""Where the record's numbers go besides the run folder: one tracker a file, its package imported
inside.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.errors import FAULTS, Problem, named_line
from tunesmith.events.run import Began, TrackerFailed
from tunesmith.events.stream import Event, Events, Line
from tunesmith.plain import JsonObject
from tunesmith.settings.family import TRACKERS
from tunesmith.settings.spec import Spec
from tunesmith.words import say

__all__ = ["TRACKERS", "Tracker", "Trackers", "missing_packages"]


class Tracker:
    """Base of the trackers."""

    name: ClassVar[str]
    package: ClassVar[str]
    """What has to be installed, by its import name and its name for pip."""

    errors: ClassVar[tuple[str, ...]] = ()
    """The package's own exceptions that are neither Python's nor the system's, as ``module:name``.
    """

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def start(self, folder: Path, settings: JsonObject) -> None:
        """Opens a run named after ``folder``, with the run's settings."""
        raise AssertionError(f"tracker {self.name} has no start")

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Sends one step's numbers."""
        raise AssertionError(f"tracker {self.name} has no log")

    def finish(self) -> None:
        """Closes the run."""


class Trackers:
    """All trackers of a run, as a listener. One that fails is told and left: the record has its
    numbers, and training goes on.
    """

    def __init__(self, configs: Sequence[Any], events: Events) -> None:
        self.running: list[Tracker] = [TRACKERS.make(config) for config in configs]
        self.events = events

    def hear(self, event: Event) -> None:
        """Opens the run in each tracker when it begins, and sends each the numbers of every event
        that is recorded.
        """
        if isinstance(event, Began):
            self._each(lambda tracker: tracker.start(event.folder, event.settings))
        line = event.line()
        numbers = _numbers(line or {})
        if line and numbers:
            self._each(lambda tracker: tracker.log(numbers, line["step"]))

    def finish(self) -> None:
        """Closes the run in each."""
        self._each(lambda tracker: tracker.finish())

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in tuple(self.running):
            try:
                call(tracker)
            except (OSError, *FAULTS, *_own_errors(tracker)) as error:
                self.running.remove(tracker)
                reason = named_line(error).rstrip(".")
                self.events(TrackerFailed(tracker.name, reason))


def _numbers(line: Line) -> dict[str, float]:
    """Returns the numbers of a line, those of an evaluation under ``held_out/``."""
    held_out = line.get("evaluation", {})
    numbers = line | {f"held_out/{name}": value for name, value in held_out.items()}
    return {
        name: float(value)
        for name, value in numbers.items()
        if isinstance(value, int | float) and name != "step"
    }


def _own_errors(tracker: Tracker) -> list[type[Exception]]:
    """Returns the exceptions of the tracker's package; modules that are not loaded cannot have
    raised any.
    """
    named = [error.split(":") for error in tracker.errors]
    return [
        getattr(sys.modules[module], name)
        for module, name in named
        if module in sys.modules and hasattr(sys.modules[module], name)
    ]


def missing_packages(configs: Sequence[Any]) -> list[Problem]:
    """Returns a problem for each tracker whose package is not installed, with the command that
    installs it.
    """
    needed = [
        (index, config.name, TRACKERS.get(config.name).package)
        for index, config in enumerate(configs)
    ]
    return [
        Problem(f"track.{index}", say("train.tracker_missing", name=name, package=package))
        for index, name, package in needed
        if importlib.util.find_spec(package) is None
    ]
