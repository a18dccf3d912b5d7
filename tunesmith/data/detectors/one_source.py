"""One source with nearly all rows, where a column says where each row comes from: what is learned
is that source, and the others are hardly seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from tunesmith.examples import Chat, Example, Labelled, Preference, Tagged, TextPair
from tunesmith.words import say

NAMES = frozenset(
    ("source", "dataset", "data_source", "origin", "domain", "subset", "来源", "数据来源", "领域")
)
"""Columns that say where a row comes from, in small letters."""
MOST, ROWS = 0.9, 20
"""From this share of at least so many rows a source is said to outweigh the others."""


class OneSource:
    """The number of rows of each source, by the columns that name one."""

    def __init__(self, evened: str | None = None) -> None:
        self.evened = evened
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def look(self, example: Example) -> list[tuple[str, str]] | None:
        """Looks at the columns of one row; returns those that name its source."""
        if not isinstance(example, Chat | Labelled | Preference | Tagged | TextPair):
            return None
        return [
            (column, value.strip())
            for column, value in example.columns.items()
            if column.lower() in NAMES and isinstance(value, str) and value.strip()
        ]

    def add(self, where: str, sources: list[tuple[str, str]]) -> None:
        """Counts the sources that a row names."""
        for column, source in sources:
            self.counts[column][source] += 1

    def rows(self) -> dict[str, list[str]]:
        """Returns none: not one row is wrong."""
        return {}

    def notes(self) -> list[str]:
        """Returns a line for each column in which one source has nearly all rows."""
        notes: list[str] = []
        for column, counts in self.counts.items():
            (value, number), total = counts.most_common(1)[0], counts.total()
            if column == self.evened or total < ROWS or len(counts) < 2 or number < MOST * total:
                continue
            fields = {"column": column, "value": value, "others": len(counts) - 1}
            notes.append(say("detect.one_source", **fields, percent=f"{100 * number / total:.0f}"))
        return notes
