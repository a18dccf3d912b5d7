"""Rows whose text was damaged before it came here: read in a wrong encoding, or with signs lost."""

from __future__ import annotations

from tunesmith.data.texts import duplicates
from tunesmith.data.texts.repair import LOST, mended
from tunesmith.examples import Example
from tunesmith.words import say, some


class Damaged:
    """The damaged rows: those that can be mended, and those that cannot."""

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {"encoding": [], "lost": []}

    def look(self, example: Example) -> str | None:
        """Looks at all texts of one row; returns what was done to it."""
        texts = duplicates.content(example)
        if any(LOST.search(text) for text in texts):
            return "lost"
        return "encoding" if any(mended(text) != text for text in texts) else None

    def add(self, where: str, damage: str) -> None:
        """Notes a damaged row."""
        self.places[damage].append(where)

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows of the two kinds."""
        return self.places

    def notes(self) -> list[str]:
        """Returns a line for each of the two."""
        return [
            say(f"detect.{kind}", number=len(places), places=some(places))
            for kind, places in self.places.items()
            if places
        ]
