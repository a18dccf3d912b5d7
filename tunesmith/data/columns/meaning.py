"""What a file's columns mean in our names, and the two texts of a pair by their columns' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith.data.columns.names import SECOND


@dataclass(frozen=True)
class Meaning:
    """Our names to the file's columns, such that a reader reads them."""

    columns: dict[str, str]
    sure: bool
    """Whether names and cells leave one reading alone; otherwise it is proposed, never taken."""
    reader: str | None = None
    """The reader, where our names alone do not tell it."""


def pair_of(
    columns: Sequence[str], more: Mapping[str, Sequence[str]] | None = None
) -> tuple[str, str] | None:
    """Finds two columns whose names differ only in a number or letter at the end, or are a pair
    listed in SECOND; else one of the pairs in ``more``.
    """
    for name in columns:
        other = {"1": "2", "a": "b", "A": "B"}.get(name[-1:])
        if other and len(name) > 1 and name[:-1] + other in columns:
            return name, name[:-1] + other
    for pairs in (SECOND, more or {}):
        for name in columns:
            second = next(
                (other_name for other_name in pairs.get(name, ()) if other_name in columns), None
            )
            if second is not None:
                return name, second
    return None
