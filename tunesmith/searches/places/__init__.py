"""Where the trials of a search are trained, several at a time: one place a file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.plain import JsonObject
from tunesmith.settings.family import PLACES
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared
    from tunesmith.planning.plan import Plan
    from tunesmith.trials.one_base import OneBase
    from tunesmith.trials.together import Going

__all__ = ["PLACES", "AtHand", "Begin", "Place", "Share"]


@dataclass(frozen=True)
class AtHand:
    """What a trial finds in the memory of its process."""

    prepared: Prepared
    base: OneBase


Work = Callable[[AtHand | None], None]
"""A trial; without what is at hand it reads its rows and its base."""
Begin = Callable[[Work, Path], "Going"]
"""Begins a trial, which notes in the file why it failed."""


@dataclass(frozen=True)
class Share:
    """How many trials are trained at a time, and what each has of the machine: settings of
    ``train.machine``.
    """

    at_once: int
    machine: JsonObject
    told: str = ""
    """What a person is told of it."""


class Place:
    """Base of the places."""

    name: ClassVar[str]

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def check(self) -> None:
        """Raises SpecError for what is not installed, before anything is read."""

    def open(self, plan: Plan, workers: int) -> AbstractContextManager[Begin]:
        """Opens the place for trials of the run that was planned; raises SpecError where it cannot
        train so many at a time.
        """
        raise AssertionError(f"place {self.name} trains nothing")

    def share(self, count: int, plan: Plan, need: Callable[[], float]) -> Share:
        """Divides the place between ``count`` trials, or fewer where these do not fit; ``need``
        plans them and gives the memory that the largest takes at least (GiB).
        """
        raise AssertionError(f"place {self.name} shares nothing")
