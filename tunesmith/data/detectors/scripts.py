"""A few rows that answer in another script than nearly all others."""

from __future__ import annotations

from collections import defaultdict

from tunesmith.data.texts.script import script_of
from tunesmith.examples import Chat, Example
from tunesmith.words import say, some

LETTERS, FEW, ROWS = 20, 0.05, 20
"""Answers with fewer characters are not looked at; up to this share of at least so many rows is
few.
"""


class Scripts:
    """The rows by the script of their answers."""

    def __init__(self) -> None:
        self.places: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, where: str, example: Example) -> None:
        """Looks at the answer of one row; one that asks for another language is left alone."""
        if not isinstance(example, Chat) or len(example.answer) < LETTERS:
            return
        script = script_of(example.answer)
        if script is not None:
            self.places[script].append(where)

    def notes(self) -> list[str]:
        """Returns a line for each script of few rows."""
        total = sum(map(len, self.places.values()))
        if total < ROWS:
            return []
        usual = max(self.places, key=lambda script: len(self.places[script]))
        return [
            say(
                "detect.script", number=len(places), script=script, usual=usual, places=some(places)
            )
            for script, places in self.places.items()
            if 0 < len(places) <= FEW * total
        ]
