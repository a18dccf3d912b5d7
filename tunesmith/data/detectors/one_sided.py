"""One class with nearly all rows: a model that always names it seems to be right."""

from __future__ import annotations

from collections import Counter

from tunesmith.examples import Example, Labelled
from tunesmith.words import say

MOST, ROWS = 0.9, 20
"""From this share of at least so many rows a class is said to outweigh the others."""


class OneSided:
    """The number of rows of each class, of texts with one label."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, where: str, example: Example) -> None:
        """Looks at the label of one row."""
        if isinstance(example, Labelled) and isinstance(example.labels, tuple):
            self.counts.update(example.labels if len(example.labels) == 1 else ())

    def notes(self) -> list[str]:
        """Returns one line, where a class has nearly all."""
        total = self.counts.total()
        if total < ROWS or len(self.counts) < 2:
            return []
        label, number = self.counts.most_common(1)[0]
        if number < MOST * total:
            return []
        return [say("detect.one_sided", label=label, percent=f"{100 * number / total:.0f}")]
