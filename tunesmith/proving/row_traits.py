"""What rows can be told apart by, beside their answers: how long they are, where they come from,
and whatever else their columns say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tunesmith.data.texts.script import script_of
from tunesmith.examples import Chat, Example, Labelled, Preference, Tagged, TextPair, question_of
from tunesmith.metrics import words
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.judge import WINDOW

if TYPE_CHECKING:
    from tunesmith.data.items import Item

Value = str | float
MOST_VALUES = 50
LONGEST_VALUE = 60
"""Characters."""
EACH_AT_LEAST = 3
"""Rows that a value has on average; a column with more different values names its rows."""


def traits(items: Iterable[Item]) -> dict[str, JsonObject]:
    """Returns what a line of items.jsonl tells of its row beside question and answer, by id: the
    turns of a conversation, and the columns that tell rows apart.
    """
    examples = {item.id: item.example for item in items if item.example is not None}
    columns = {name: _columns(example) for name, example in examples.items()}
    every = dict.fromkeys(column for row in columns.values() for column in row)
    kept = [name for name in every if _tells([row.get(name) for row in columns.values()])]
    return {
        name: _turns(example)
        | {"columns": {column: _finite(columns[name].get(column)) for column in kept}}
        for name, example in examples.items()
    }


def _turns(example: Example) -> JsonObject:
    chat = example.prompt if isinstance(example, Chat | Preference) else None
    return {"turns": sum(turn.role == "user" for turn in chat.turns)} if chat else {}


def _columns(example: Example) -> dict[str, object]:
    has_columns = isinstance(example, Chat | Labelled | Tagged | TextPair | Preference)
    return dict(example.columns) if has_columns else {}


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tells(values: Sequence[object]) -> bool:
    """Tells whether a column divides the rows: into few values, or along numbers."""
    there = [value for value in map(_finite, values) if value is not None and value != ""]
    if not there or not all(isinstance(value, str | int | float) for value in there):
        return False
    different = len({str(value) for value in there})
    if different < 2:
        return False
    if all(isinstance(value, int | float) for value in there):
        names_rows = different == len(there) and all(isinstance(value, int) for value in there)
        return not names_rows
    short = all(len(str(value)) <= LONGEST_VALUE for value in there)
    return short and different <= MOST_VALUES and len(there) >= EACH_AT_LEAST * different


def line_of(name: str, example: Example) -> JsonObject | None:
    """Returns what a line of items.jsonl would tell of a training row; None for a kind of row that
    has no question and answer.
    """
    line = _turns(example) | {"id": name, "columns": _columns(example)}
    if isinstance(example, Chat):
        return line | {"prompt": question_of(example), "reference": example.answer.strip()}
    if isinstance(example, Labelled):
        text = example.text if example.second is None else f"{example.text}\n{example.second}"
        reference: object = example.labels
        if isinstance(example.labels, tuple):
            single = len(example.labels) == 1
            reference = example.labels[0] if single else list(example.labels)
        return line | {"prompt": text, "reference": reference}
    if isinstance(example, Tagged):
        spans = [[span.start, span.end, span.label] for span in example.spans]
        return line | {"prompt": example.text, "reference": spans}
    return None


def labels_in(reference: object) -> list[Value]:
    """Returns the labels of a line's reference: one, several, a number, or the kinds of spans."""
    if isinstance(reference, list):
        names = [label[2] if isinstance(label, list) else label for label in reference]
        return list(dict.fromkeys(str(name) for name in names))
    if isinstance(reference, int | float):
        return [float(reference)]
    return [str(reference)]


def values_of(line: Named) -> dict[str, list[Value]]:
    """Returns what a line is told apart by, the values of each: the label first, then the row's own
    columns, which also stand in place of what is counted here under the same name.
    """
    values_by_name: dict[str, list[Value]] = {"label": labels_in(line["reference"])}
    for name, value in line.get("columns", {}).items():
        values_by_name[name] = _cell_values(value)
    source = WINDOW.sub("", line["id"].partition("#")[0]).rpartition(":")[0]
    script = script_of(line["prompt"])
    counted: dict[str, list[Value]] = {
        "turns": [float(line["turns"])] if "turns" in line else [],
        "language": [script] if script else [],
        "source": [source] if source else [],
        "length": [float(len(words(line["prompt"])))],
    }
    return values_by_name | {
        name: values for name, values in counted.items() if name not in values_by_name
    }


def _cell_values(value: object) -> list[Value]:
    """Returns the value of a cell, a number or a text; none of an empty one."""
    if value is None:
        return []
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [float(value)]
    text = str(value).strip()
    return [text] if text else []


@dataclass(frozen=True)
class Slice:
    """Rows that have one value of a trait, or a number from above ``low`` up to ``high``."""

    by: str
    value: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def says(self) -> str:
        """The slice in words that need no language: ``label = cat``, ``length > 40``."""
        if self.low is None and self.high is None:
            return f"{self.by} = {self.value}"
        if self.low is None:
            return f"{self.by} ≤ {self.high:g}"
        return f"{self.by} > {self.low:g}" + ("" if self.high is None else f", ≤ {self.high:g}")

    def holds(self, values: dict[str, list[Value]]) -> bool:
        """Tells whether a row with these ``values_of`` belongs to it."""
        mine = values.get(self.by, [])
        if self.low is None and self.high is None:
            return any(_named(value) == self.value for value in mine)
        return any(
            isinstance(value, float)
            and (self.low is None or value > self.low)
            and (self.high is None or value <= self.high)
            for value in mine
        )


def _named(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def slices_of(lines: Sequence[Named]) -> list[Slice]:
    """Cuts the rows in all ways that they can be told apart, by what they are alone and never by a
    score: a slice for each value, or three by size for numbers of many values. Slices of the same
    rows are one.
    """
    import numpy as np

    rows = [values_of(line) for line in lines]
    slices: list[Slice] = []
    for by in dict.fromkeys(name for row in rows for name in row):
        values = [value for row in rows for value in row.get(by, [])]
        different = sorted({_named(value) for value in values})
        numbers = [value for value in values if isinstance(value, float)]
        if len(numbers) == len(values) and len(different) > 6:
            cuts = sorted({float(cut) for cut in np.quantile(numbers, (1 / 3, 2 / 3))})
            edges = [None, *(cut for cut in cuts if cut < max(numbers)), None]
            slices += [Slice(by, low=low, high=high) for low, high in pairwise(edges)]
        elif len(different) <= MOST_VALUES and len(values) >= EACH_AT_LEAST * len(different):
            slices += [Slice(by, value) for value in different]
    kept: dict[tuple[bool, ...], Slice] = {}
    for slice_ in slices:
        holds = tuple(slice_.holds(row) for row in rows)
        if any(holds) and not all(holds):
            kept.setdefault(holds, slice_)
    return list(kept.values())
