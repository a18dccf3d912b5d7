"""What a metric that grades is given, and what it gives: for each contender and item a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tunesmith.plain import JsonObject, Row


class Store(Protocol):
    """Replies that are kept, by name."""

    def __contains__(self, name: str) -> bool:
        """Tells whether one is kept under ``name``."""
        ...

    def value(self, name: str, make: Callable[[], JsonObject]) -> JsonObject:
        """Returns what is kept under ``name``, else what ``make`` gives, kept from now on; what
        raises is not kept.
        """
        ...


@dataclass(frozen=True)
class Written:
    """What the contenders of a proof wrote for the same items."""

    ids: Sequence[str]
    questions: Sequence[str]
    references: Sequence[str]
    rows: Sequence[Row]
    """The rows' own columns."""
    answers: dict[str, list[str]]
    """By contender and item."""
    kept: Store
    """What was paid for before."""
    progress: Callable[[int, int], None]


@dataclass
class Grades:
    """The grades of what was written; None where an answer got none."""

    values: dict[str, list[float | None]]
    """By contender and item."""
    faults: list[str] = field(default_factory=list)
    """What went wrong, with the row."""
    facts: JsonObject = field(default_factory=dict)
    """What else a proof tells of the metric."""
