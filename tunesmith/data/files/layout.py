"""One way in which rows are published that no column explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tunesmith.plain import JsonObject, Row


@dataclass(frozen=True)
class Layout:
    """How the rows of a layout are recognised, and the rows in a row."""

    holds: Callable[[Row], bool]
    rows: Callable[[Row], Iterator[JsonObject]]
