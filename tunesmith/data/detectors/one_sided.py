"""One class, or one short answer, with nearly all rows: a model that always says it seems right."""

from __future__ import annotations

from collections import Counter

from tunesmith.examples import Chat, Example, Labelled
from tunesmith.plain import Named
from tunesmith.words import say

MOST, ROWS = 0.9, 20
"""From this share of at least so many rows a class is said to outweigh the others."""
SHORT = 40
"""Answers with more characters are no labels, though one of them may stand in many rows."""


class OneSided:
    """The number of rows of each class, of texts with one label, and of each short answer."""

    def __init__(self, evened: str | None = None) -> None:
        self.evened = evened
        self.counts: dict[str, Counter[str]] = {"one_sided": Counter(), "one_answer": Counter()}
        self.columns: dict[str, Counter[str]] = {"one_sided": Counter(), "one_answer": Counter()}
        """How many rows have what is counted as it is in a column."""

    def look(self, example: Example) -> tuple[str, str, list[str]] | None:
        """Looks at the label or the last answer of one row; returns of which of the two it is, what
        it is, and the columns that hold it.
        """
        if isinstance(example, Chat):
            answer = example.answer.strip()
            value = answer if len(answer) <= SHORT else ""
            return "one_answer", value, _holding(value, example.columns)
        if not isinstance(example, Labelled) or not isinstance(example.labels, tuple):
            return None
        if len(example.labels) != 1:
            return None
        return "one_sided", example.labels[0], _holding(example.labels[0], example.columns)

    def add(self, where: str, counted: tuple[str, str, list[str]]) -> None:
        """Counts the label or the answer of a row."""
        kind, value, columns = counted
        self.counts[kind][value] += 1
        self.columns[kind].update(columns)

    def rows(self) -> dict[str, list[str]]:
        """Returns none: not one row is wrong."""
        return {}

    def notes(self) -> list[str]:
        """Returns a line where a class has nearly all rows, and one where an answer has."""
        notes: list[str] = []
        for kind, counts in self.counts.items():
            total = counts.total()
            if total < ROWS or len(counts) < 2:
                continue
            label, number = counts.most_common(1)[0]
            column = next((name for name, _ in self.columns[kind].most_common(1)), "COLUMN")
            if label and number >= MOST * total and column != self.evened:
                fields = {
                    "label": label,
                    "percent": f"{100 * number / total:.0f}",
                    "column": column,
                }
                notes.append(say(f"detect.{kind}", **fields))
        return notes


def _holding(value: str, columns: Named) -> list[str]:
    return [name for name, cell in columns.items() if value and str(cell).strip() == value]
