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

    def add(self, where: str, example: Example) -> None:
        """Looks at the label or the last answer of one row."""
        if isinstance(example, Chat):
            answer = example.answer.strip()
            self._count("one_answer", answer if len(answer) <= SHORT else "", example.columns)
        elif isinstance(example, Labelled) and isinstance(example.labels, tuple):
            for label in example.labels if len(example.labels) == 1 else ():
                self._count("one_sided", label, example.columns)

    def _count(self, kind: str, value: str, columns: Named) -> None:
        self.counts[kind][value] += 1
        here = (name for name, cell in columns.items() if value and str(cell).strip() == value)
        self.columns[kind].update(here)

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
