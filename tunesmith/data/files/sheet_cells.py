"""A workbook's cell as its sheet shows it: 10%, 19.90, ¥1,234.50, 00123, 2020年1月2日."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from tunesmith.data.files.numbers import Written, cell

_SKIPPED = re.compile(r"\[(?!\$)[^\]]*\]|\[\$-[^\]]*\]|_.|\*.")
"""Colours, languages, and what only widens a cell."""
_LITERAL = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]+)(?:-[^\]]*)?\]|([ ¥￥$€£元%/()+-])')
_NUMBER = re.compile(r"(?:#,##)?([0#]+)(?:\.(0+))?")
_DATE = re.compile(
    r"(?<!y)(?:yyyy|yy)(?!y)|(?<!m)mm?(?!m)|(?<!d)dd?(?!d)|(?<!h)hh?(?!h)|(?<!s)ss?(?!s)"
    r'|"[^"]*"|\\.|[-/:. ,年月日时分秒]',
    re.IGNORECASE,
)
_NOT_CHOSEN = ("mm-dd-yy", "m/d/yy h:mm", "yyyy-mm-dd h:mm:ss", "yyyy-mm-dd hh:mm:ss")
"""Forms that each country shows in its own way, or that programs write where nobody chose one."""


ERRORS = frozenset(
    {
        *("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NAME?", "#NULL!"),
        *("#SPILL!", "#CALC!", "#GETTING_DATA", "#FIELD!", "#BLOCKED!", "#CONNECT!"),
    }
)
"""What a spreadsheet shows, and writes into a CSV file, where a formula gives no result."""


def shown(one: Any, form: str = "") -> Any:
    """Returns the value of a cell of openpyxl; numbers and dates with the text that is shown. A
    date that no format was chosen for has the ``form`` of its column (see ``cell``).
    """
    value = one.value
    if isinstance(value, bool) or not isinstance(value, int | float | datetime.datetime):
        return cell(value)
    if isinstance(value, datetime.datetime):
        date = None if is_plain(one) else _date(value, one.number_format)
        return date or cell(value, form)
    text = _number(value, (one.number_format or "General").split(";"))
    return cell(value) if text is None else Written(text, float(value))


def is_plain(one: Any) -> bool:
    """Tells whether nobody chose how a cell is shown."""
    return (one.number_format or "General").casefold() in _NOT_CHOSEN


def _number(value: float, parts: Sequence[str]) -> str | None:
    """Formats a number by the parts of a format, the second of which is for negative ones; None
    where it is not a plain one.
    """
    negative = value < 0 and len(parts) > 1 and "General" not in parts[1]
    form = _SKIPPED.sub("", parts[1 if negative else 0])
    digits = _NUMBER.search(_LITERAL.sub(lambda literal: "\0" * len(literal[0]), form))
    if digits is None:
        return None
    around = [_text(form[: digits.start()]), _text(form[digits.end() :])]
    if None in around:
        return None
    before, after = map(str, around)
    exact = Decimal(repr(abs(value) if negative else value)) * (100 if "%" in after else 1)
    places = len(digits[2] or "")
    try:
        rounded = exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    except InvalidOperation:  # more digits than anyone reads
        return None
    whole, point, rest = f"{abs(rounded):{',' if ',' in digits[0] else ''}f}".partition(".")
    sign = "-" if rounded < 0 else ""
    return f"{sign}{before}{whole.zfill(digits[1].count('0'))}{point}{rest}{after}"


def _text(form: str) -> str | None:
    """Returns what stands beside a number; None where more than literal text does."""
    literals = _LITERAL.findall(form)
    if _LITERAL.sub("", form):
        return None
    return "".join("".join(parts) for parts in literals)


def _date(value: datetime.datetime, form: str) -> str | None:
    """Formats a date; None where the format holds more than its numbers, such as names."""
    form = _SKIPPED.sub("", form.partition(";")[0])
    marks = _DATE.findall(form)
    if "".join(marks) != form:
        return None
    numbers = {
        "y": value.year,
        "m": value.month,
        "d": value.day,
        "h": value.hour,
        "minute": value.minute,
        "s": value.second,
    }
    kinds = [mark[0].casefold() for mark in marks]
    text, before = "", ""
    for index, (mark, kind) in enumerate(zip(marks, kinds, strict=True)):
        if kind not in numbers:
            text += mark.strip('"').removeprefix("\\")
            continue
        after = next((kind_after for kind_after in kinds[index + 1 :] if kind_after in numbers), "")
        minute = kind == "m" and (before == "h" or after == "s")
        text += f"{numbers['minute' if minute else kind]:0{len(mark)}}"[-max(2, len(mark)) :]
        before = kind
    return text
