"""Rows that hold what belongs to a person: telephone, identity card and bank card numbers, mail
addresses and secrets; found by their form and check digits, never by guessing at names.
"""

from __future__ import annotations

from tunesmith.data.texts import duplicates
from tunesmith.data.texts.personal import kinds_in
from tunesmith.examples import Example
from tunesmith.words import say, some

_TOLD = ("identity_card", "mail", "phone", "bank_card", "secret")
"""What ``check`` names; the verb ``data anonymise`` looks for more, where a form alone says less.
"""


class Private:
    """The private data in rows, collected row by row; ``notes`` lists it, with the rows."""

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {}

    def look(self, example: Example) -> list[str]:
        """Looks for private data in one row; returns its kinds."""
        return [*kinds_in("\n".join(duplicates.content(example)), _TOLD)]

    def add(self, where: str, kinds: list[str]) -> None:
        """Notes a row with private data."""
        for kind in kinds:
            self.places.setdefault(kind, []).append(where)

    def rows(self) -> dict[str, list[str]]:
        """Returns none: what is found is replaced, and the rows stay."""
        return {}

    def notes(self) -> list[str]:
        """Returns one line with the private data found and the rows that hold it."""
        if not self.places:
            return []
        counts = [
            say(f"private.{kind}", number=len(self.places[kind]), places=some(self.places[kind]))
            for kind in _TOLD
            if kind in self.places
        ]
        return [say("private.note", found=say("private.between").join(counts))]
