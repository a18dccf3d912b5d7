"""One class, or one short answer, with nearly all rows: a model that always says it seems right."""

from __future__ import annotations

from collections import Counter

from tunesmith.examples import Chat, Example, Labelled
from tunesmith.words import say

MOST, ROWS = 0.9, 20
"""From this share of at least so many rows a class is said to outweigh the others."""
SHORT = 40
"""Answers with more characters are no labels, though one of them may stand in many rows."""


class OneSided:
    """The number of rows of each class, of texts with one label, and of each short answer."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    def add(self, where: str, example: Example) -> None:
        """Looks at the label or the last answer of one row."""
        if isinstance(example, Chat):
            answer = example.answer.strip()
            self.answers[answer if len(answer) <= SHORT else ""] += 1
        elif isinstance(example, Labelled) and isinstance(example.labels, tuple):
            self.counts.update(example.labels if len(example.labels) == 1 else ())

    def notes(self) -> list[str]:
        """Returns a line where a class has nearly all rows, and one where an answer has."""
        told = (("detect.one_sided", self.counts), ("detect.one_answer", self.answers))
        found: list[str] = []
        for key, counts in told:
            total = counts.total()
            if total < ROWS or len(counts) < 2:
                continue
            label, number = counts.most_common(1)[0]
            if label and number >= MOST * total:
                found.append(say(key, label=label, percent=f"{100 * number / total:.0f}"))
        return found
