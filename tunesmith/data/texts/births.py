"""Dates of birth: a date behind a word that says so, or before 出生."""

from __future__ import annotations

import re

MONTHS = ("January", "February", "March", "April", "May", "June")
MONTHS += ("July", "August", "September", "October", "November", "December")
_MONTH = rf"(?:{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in MONTHS)})"
_NUMBERED = (
    r"(?:19|20)\d{2}\s?[年./-]\s?\d{1,2}\s?[月./-]\s?\d{1,2}日?"
    r"|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d{2}"
)
_NAMED = (
    rf"{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d{{2}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\.?,? (?:19|20)\d{{2}}"
)
BIRTH_DATE = re.compile(
    r"(?:出生日期|出生年月日?|出生于|生于|生日|出生|\b[Bb]orn(?: on)?|[Bb]irth(?:day|date)?|\bDOB)"
    r"[\"']?\s*(?:是|为|is|was|on)?\s*[:：]?\s*[\"']?"
    rf"(?P<value>{_NUMBERED}|{_NAMED})(?!\d)"
    r"|(?P<before>(?:19|20)\d{2}\s?[年./-]\s?\d{1,2}\s?[月./-]\s?\d{1,2}日?)"
    r"(?=\s?(?:出生|生(?:[，。；,;\s]|$)))"
)


def another_day(value: str, number: int) -> str:
    """Returns the same year with another day, written in the same way."""
    month, day = number % 12 + 1, number // 12 % 28 + 1
    if named := re.search(r"[A-Za-z]{3,}", re.sub(r"\bof\b", "", value)):
        name = MONTHS[month - 1] if len(named[0]) > 3 else MONTHS[month - 1][:3]
        dated = re.sub(r"\d{1,2}(?:st|nd|rd|th)?(?!\d)", str(day), value, count=1)
        return dated.replace(named[0], name, 1)
    numbers = re.findall(r"\d+", value)
    for index, new in _order(value, month, day):
        numbers[index] = f"{new:0{len(numbers[index])}}"
    return "".join(
        numbers.pop(0) if part.isdecimal() else part for part in re.split(r"(\d+)", value)
    )


def _order(value: str, month: int, day: int) -> list[tuple[int, int]]:
    """Returns where month and day stand among the numbers of a date."""
    return [(1, month), (2, day)] if re.match(r"\d{4}", value) else [(0, month), (1, day)]
