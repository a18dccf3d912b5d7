"""What the cells of a column say of it: texts, numbers, one value throughout, numbers of rows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.columns.answers import first_answer

Row = Mapping[str, Any]

FEW = 5
"""Below this many rows one value throughout says nothing."""
_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{20,}|[0-9a-f]{16,}|[A-Za-z]{0,20}[_\-/#:]?\d+([_\-/]\d+)*|\d+",
    re.IGNORECASE,
)
_LINK = re.compile(r"https?://\S+|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ][\d:.Z+]*)?")


def held(name: str, rows: Sequence[Row]) -> list[Any]:
    """The values of a column that hold something."""
    values = [first_answer(row.get(name), name) for row in rows]
    return [value for value in values if value not in (None, "", [], {})]


def is_text(name: str, rows: Sequence[Row]) -> bool:
    """Whether the column holds texts."""
    values = held(name, rows)
    return bool(values) and all(isinstance(value, str) for value in values)


def is_written(name: str, rows: Sequence[Row]) -> bool:
    """Whether the column holds texts, or numbers and truth values that can be written out."""
    values = held(name, rows)
    return bool(values) and all(isinstance(value, str | int | float) for value in values)


def is_number(value: Any) -> bool:
    """Whether a cell holds a finite number."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def varies(name: str, rows: Sequence[Row]) -> bool:
    """Whether a column does not hold the same everywhere; a few rows cannot say so."""
    values = held(name, rows)
    return len(values) < FEW or len({str(value) for value in values}) > 1


def is_id(name: str, rows: Sequence[Row]) -> bool:
    """Whether a column can only be a row's number, key, link or date: one of its own in each row,
    without a word in it.
    """
    values = [str(value) for value in held(name, rows)]
    if not values:
        return False
    if all(_LINK.fullmatch(value.strip()) for value in values):
        return True
    return (
        len(values) > 1
        and len(set(values)) == len(values)
        and all(_ID.fullmatch(value.strip()) for value in values)
    )
