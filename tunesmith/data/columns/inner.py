"""Fields inside the objects of a row, named by the way to them: ``info.post`` of ``{"info":
{"post": …}}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.plain import JsonObject, Row

_DEPTH = 3
"""Levels of objects within objects whose fields may be named."""


def holds(row: Row, name: str) -> bool:
    """Tells whether a row has this column, or this field inside one."""
    return name in row or name in _fields(row, name)


def value_at(row: Row, name: str) -> Any:
    """Returns the value of a column, or of a field inside one; None where there is none."""
    return row[name] if name in row else _fields(row, name).get(name)


def opened(rows: Sequence[Row]) -> list[JsonObject]:
    """Returns the rows with the fields of their objects in place of the objects; objects whose keys
    differ from row to row stay, for these keys are no names.
    """
    names = dict.fromkeys(name for row in rows for name, held in row.items() if _is_open(held))
    named = {name for name in names if _is_named([row.get(name) for row in rows])}
    opened_rows = []
    for row in rows:
        fields: JsonObject = {}
        for name, value in row.items():
            fields |= _inside(name, value) if name in named and _is_open(value) else {name: value}
        opened_rows.append(fields)
    return opened_rows


def _is_named(values: Sequence[Any]) -> bool:
    keys = [set(value) for value in values if _is_open(value)]
    return len(set().union(*keys)) <= 2 * max(map(len, keys))


def _fields(row: Row, name: str) -> dict[str, Any]:
    """Returns the fields of the column that the way ``name`` begins with."""
    top = name.partition(".")[0]
    return _inside(top, row[top]) if _is_open(row.get(top)) else {}


def _inside(way: str, value: Any, depth: int = 1) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, held in value.items():
        name = f"{way}.{key}"
        flat |= (
            _inside(name, held, depth + 1) if _is_open(held) and depth < _DEPTH else {name: held}
        )
    return flat


def _is_open(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)
