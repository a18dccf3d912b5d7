"""An answer that should be JSON, read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

_FENCED = re.compile(r"^```\w*\s*\n(.*?)\n?```$", re.DOTALL)


def read(text: str) -> tuple[Any] | None:
    """Reads the one JSON value of a text, in a tuple, because ``null`` is a value too; None where
    the text is not JSON. NaN and Infinity are not.
    """
    text = text.strip()
    fence = _FENCED.match(text)
    return parsed(fence[1] if fence else text)


def parsed(text: str) -> tuple[Any] | None:
    """Reads a text that is JSON from end to end, as ``read`` does."""
    try:
        return (json.loads(text, parse_constant=_refuse),)
    except (ValueError, RecursionError):
        return None


def _number(value: float) -> float:
    """Returns 1 and 1.0 as one number; an integer that no float holds stays what it is."""
    try:
        return float(value)
    except OverflowError:
        return value


def _refuse(name: str) -> None:
    raise ValueError(name)


def fields(text: str) -> Counter[tuple[str, str]]:
    """Returns every value with its path, lists without order: ``{"a": {"b": 1}, "c": [2, 3]}`` has
    ``(a.b, 1)``, ``(c[], 2)`` and ``(c[], 3)``. A text that is not JSON has none.
    """
    value = read(text)
    try:
        return Counter(_leaves(value[0], "")) if value else Counter()
    except RecursionError:  # newer Pythons read what is nested deeper than their functions may be
        return Counter()


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaves(inner, f"{path}[]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, f"number {_number(value)}"
    else:
        text = value.strip() if isinstance(value, str) else value
        yield path, f"{type(value).__name__} {text}"
