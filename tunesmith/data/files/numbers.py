"""Numbers and dates as they were written."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from typing import Any

MISSING = frozenset({"nan", "NaN", "NAN", "NULL", "<null>", "\\N", "<NA>", "#N/A"})
"""As pandas, databases and spreadsheets write a value that is not there."""


class Written(float):
    """A number that keeps the text it was written as: ``19.90`` stays ``19.90``, 10% stays 10%."""

    text: str

    def __new__(cls, text: str, value: float | None = None) -> Written:
        """Makes the number that ``text`` spells, or the ``value`` that it stands for."""
        made = super().__new__(cls, text if value is None else value)
        made.text = text
        return made

    def __str__(self) -> str:
        """Returns the number as it was written."""
        return self.text

    def __reduce__(self) -> tuple[type[Written], tuple[str, float]]:
        """Lets copies keep the written text."""
        return Written, (self.text, float(self))


def plain_number(value: float) -> str:
    """Formats a number without an exponent: a table shows 1234567890123457000, not 1.2e+18."""
    if isinstance(value, Written) or value != value or value in (float("inf"), float("-inf")):
        return str(value)
    # Python writes floats with an exponent from 1e16 on.
    return (
        str(value) if abs(value) < 1e15 else format(decimal.Decimal(repr(value)), "f").split(".")[0]
    )


TIMES = ("days", "seconds", "milliseconds", "microseconds")
"""How much of a time is written; the same for all of a column."""


def finest(value: datetime.datetime) -> int:
    """Returns the place in ``TIMES`` of what it takes to write this time."""
    if value.microsecond:
        return 3 if value.microsecond % 1000 else 2
    return int(value.time() != datetime.time())


def cell(value: object, form: str = "") -> Any:
    """Returns a table's cell as it is shown: a time in the ``form`` of its column, one of
    ``TIMES``, by itself without hours where it has none; numbers whole.
    """
    if isinstance(value, datetime.datetime):
        if not form:
            day = value.tzinfo is None and value.time() == datetime.time()
            return value.date().isoformat() if day else value.isoformat(" ")
        days = form == "days" and value.tzinfo is None
        spec = "seconds" if form == "days" else form
        return value.date().isoformat() if days else value.isoformat(" ", timespec=spec)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):  # 30 hours are 30:00:00, not a day and six hours
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    if isinstance(value, decimal.Decimal):
        return Written(format(value, "f"))
    if isinstance(value, float) and not isinstance(value, Written) and abs(value) >= 1e15:
        return Written(plain_number(value))
    return value


def within(value: object) -> Any:
    """Returns an object or a list of a table with each cell in it as it is shown."""
    if isinstance(value, dict):
        return {key: within(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [within(inner) for inner in value]
    return cell(value)


def gapped(values: Sequence[object]) -> bool:
    """Tells whether a gap in a column turned whole numbers into ``3.0``, as pandas writes them: all
    of its numbers end so, and some cell is empty.
    """
    texts = ["" if value is None else str(value).strip().lower() for value in values]
    given = [text for text in texts if text not in ("", "nan", "none")]
    return len(given) < len(texts) and bool(given) and all(map(_ends_in_zero, given))


def without_zero(value: object) -> Any:
    """Removes the ``.0`` of a whole number; returns anything else unchanged."""
    if not isinstance(value, str | float):
        return value
    text = str(value).strip()
    if not _ends_in_zero(text):
        return value
    return text[:-2] if isinstance(value, str) else int(text[:-2])


def _ends_in_zero(text: str) -> bool:
    return text.endswith(".0") and text[:-2].removeprefix("-").isdecimal()
