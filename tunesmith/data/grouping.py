"""What the columns of a row say beside its text: with which rows it stays, with which it shares its
part of an epoch, and when it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunesmith.data.columns.names import came_from
from tunesmith.data.files.file_facts import Located
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Example, Labelled, chats_of
from tunesmith.plain import JsonObject
from tunesmith.words import say

FILE, LENGTH = "file", "length"
"""What ``data.mix.by`` and ``data.curriculum`` may name beside a column."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one row; None where it has none."""

    group: str | None = None
    """Its value of ``data.split_by``."""
    kind: str | None = None
    """Its value of ``data.mix.by``."""
    place: float | None = None
    """Its value of ``data.curriculum``."""
    family: str | None = None
    """The row that it was made from by ``tunesmith data augment``, or that others were."""
    augmented: bool = False
    """Whether it was made from another."""


@dataclass(frozen=True)
class Marker:
    """The columns that mark a row."""

    split_by: str | None = None
    mix_by: str | None = None
    curriculum: str | None = None

    def of(self, located: Located, example: Example) -> Marks:
        """Returns the marks of a row; DataError at the setting whose column it lacks, or where it
        has no number to be ordered by.
        """
        columns = _columns(located, example)

        def value(name: str, setting: str) -> Any:
            if name in columns:
                return columns[name]
            fields = {"name": name, "where": located.where, "columns": ", ".join(located.row)}
            raise DataError(Problem(setting, say("ledger.no_column", **fields)))

        group = kind = position = None
        if self.split_by is not None:
            group = value(self.split_by, "data.split_by")
            group = None if group in (None, "") else str(group)
        if self.mix_by is not None:
            by_file = self.mix_by == FILE
            kind = str(located.file) if by_file else str(value(self.mix_by, "data.mix.by"))
        if self.curriculum not in (None, LENGTH):
            position = value(self.curriculum, "data.curriculum")
            position = _number(position, self.curriculum, located.where)
        return Marks(group, kind, position, *_family(located))


def _family(located: Located) -> tuple[str | None, bool]:
    """Returns what ``data augment`` noted: the row that this one comes from, and whether it was
    made from it.
    """
    came = came_from(located.row)
    if "augment" not in came.get("steps", ()):  # type: ignore[operator]
        return None, False
    return f"{came.get('file')}:{came.get('row')}", "augmented" in came


def _number(value: Any, name: str, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        fields = {"name": name, "where": where, "value": str(value)[:40]}
        raise DataError(Problem("data.curriculum", say("ledger.no_number", **fields))) from None


def _columns(located: Located, example: Example) -> JsonObject:
    columns = located.row | (example.columns if isinstance(example, Labelled) else {})
    for chat in chats_of(example):
        columns |= chat.columns
    return columns
