"""What the cells of a column say of it: texts, numbers, one value throughout, numbers of rows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from tunesmith.data.columns.answers import as_json, first_answer
from tunesmith.plain import Row

FEW = 5
"""Below this many rows one value throughout says nothing."""
_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{20,}|[0-9a-f]{16,}|[A-Za-z]{0,20}[_\-/#:]?\d+([_\-/]\d+)*|\d+",
    re.IGNORECASE,
)
_LINK = re.compile(r"https?://\S+|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ][\d:.Z+]*)?")


def held(name: str, rows: Sequence[Row]) -> list[Any]:
    """Returns the values of a column that are not empty."""
    values = [first_answer(row.get(name), name) for row in rows]
    return [value for value in values if value not in (None, "", [], {})]


def is_text(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether the column holds texts."""
    values = held(name, rows)
    return bool(values) and all(isinstance(value, str) for value in values)


def is_written(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether the column holds texts, or numbers and truth values that can be written out."""
    values = held(name, rows)
    return bool(values) and all(isinstance(value, str | int | float) for value in values)


def is_answer(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether the column holds what can be written out, objects as JSON among it."""
    values = held(name, rows)
    return bool(values) and all(isinstance(as_json(one), str | int | float) for one in values)


def is_number(value: Any) -> bool:
    """Tells whether a cell holds a finite number."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def varies(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column holds different values; a few rows are too few to deny it."""
    values = held(name, rows)
    return len(values) < FEW or len({str(value) for value in values}) > 1


def is_id(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column can only hold a row's number, key, link or date: a different value in
    each row, none with a word in it.
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
