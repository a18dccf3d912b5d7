"""The texts within a row: found and changed wherever they stand, in lists and objects too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from tunesmith.plain import JsonObject, Row

FORM = frozenset({"role", "from", "type", "tool_call_id"})
"""Keys whose texts say what a turn is; they are words of a format, not of a person."""


def strings(value: object) -> Iterator[str]:
    """Yields all texts within a value, in order, without keys and words of a format."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            if name not in FORM:
                yield from strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part)


def changed(value: object, change: Callable[[str], str]) -> object:
    """Replaces each text within a value by what ``change`` makes of it."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            name: part if name in FORM else changed(part, change) for name, part in value.items()
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
