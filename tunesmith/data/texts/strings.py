"""The texts within a row: found and changed wherever they stand, in lists and objects too."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from tunesmith.plain import JsonObject, Row

FORM = frozenset({"role", "from", "type"})
"""Keys whose texts say what a turn is: words of a format, and not of a person."""
_FORM_WORD = re.compile("[a-z_]+")
"""Such a word; a mail address after ``from`` is none."""
_LONG = 10**6
"""A number from here on may be a telephone's or a card's, and is looked at as text."""


def _is_form(name: str, value: object) -> bool:
    return name in FORM and isinstance(value, str) and _FORM_WORD.fullmatch(value) is not None


def strings(value: object) -> Iterator[str]:
    """Yields all texts within a value, in order, without keys and words of a format."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int) and abs(value) >= _LONG:
        yield str(value)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            if not _is_form(name, part):
                yield from strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part)


def changed(value: object, change: Callable[[str], str]) -> object:
    """Replaces each text within a value by what ``change`` makes of it."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, int) and abs(value) >= _LONG:
        text = change(str(value))
        return value if text == str(value) else text
    if isinstance(value, Mapping):
        return {
            name: part if _is_form(name, part) else changed(part, change)
            for name, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [changed(part, change) for part in value]
    return value


def changed_row(
    row: Row, change: Callable[[str], str], columns: Collection[str] | None = None
) -> JsonObject:
    """Changes the texts of ``columns`` in a row, of all columns where that is None."""
    return {
        name: changed(value, change) if columns is None or name in columns else value
        for name, value in row.items()
    }
