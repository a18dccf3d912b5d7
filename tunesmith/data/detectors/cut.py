"""Answers that end in the middle of a sentence where the others end with a mark: cut at a limit of
the model that wrote them, and a model trained on them learns to stop there.
"""

from __future__ import annotations

import re

from tunesmith.examples import Example, chats_of
from tunesmith.words import say, some

LONG, MARKED = 80, 0.8
"""Answers of at least so many characters are looked at; this share of them must end with a mark
before the others are called cut.
"""
_END = re.compile(r"[.!?。！？…\"'”’」』)）\]】}:：;；~*`|>]\s*$")
_ITEM = re.compile(r"^\s*(?:[-*•·]|\d+[.)、]|#+)\s")


class Cut:
    """The long answers without an end."""

    def __init__(self) -> None:
        self.looked = 0
        self.places: list[str] = []

    def look(self, example: Example) -> tuple[int, bool]:
        """Looks at the last answer of one row; returns how many are long, and whether one of them
        has no end.
        """
        answers = [chat.answer.rstrip() for chat in chats_of(example)]
        long = [answer for answer in answers if len(answer) >= LONG]
        return len(long), any(map(_unended, long))

    def add(self, where: str, long_and_cut: tuple[int, bool]) -> None:
        """Counts the long answers of a row, and notes one without an end."""
        long, cut = long_and_cut
        self.looked += long
        if cut:
            self.places.append(where)

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows, where most answers do end."""
        return {"cut": self.places} if len(self.places) <= (1 - MARKED) * self.looked else {}

    def notes(self) -> list[str]:
        """Returns one line for them."""
        return [
            say("detect.cut", number=len(places), of=self.looked, places=some(places))
            for places in self.rows().values()
            if places
        ]


def _unended(answer: str) -> bool:
    """Tells whether an answer ends with neither a mark, an item of a list, nor a figure."""
    last = answer.rpartition("\n")[2]
    if _END.search(answer) or _ITEM.match(last) or not last[-1:].isalpha():
        return False
    # A short last line is a title, a name or a formula.
    return len(last) >= LONG // 4
