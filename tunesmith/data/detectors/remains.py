"""Rows in whose texts a chat template was left: ``<|im_end|>``, ``[INST]``, ``### Response:``, or a
further turn that begins with ``Human:``.
"""

from __future__ import annotations

import re

from tunesmith.data.texts.repair import MARKS
from tunesmith.examples import Example, chats_of
from tunesmith.words import say, some

_SPEAKERS = re.compile(
    r"\n\s*(?:Human|User|Assistant|用户|助手|助理|患者|医生) ?[:：]", re.IGNORECASE
)
_ENOUGH = 0.5
"""Above this share of the rows further turns are how the rows are written: dialogues."""


class Remains:
    """The rows with marks of a template, and those with further turns."""

    def __init__(self) -> None:
        self.looked = 0
        self.marks: list[str] = []
        self.turns: list[str] = []

    def look(self, example: Example) -> str:
        """Looks at the turns of one row; a further turn is looked for in answers alone."""
        turns = [turn for chat in chats_of(example) for turn in chat.turns]
        if any(MARKS.search(turn.content) for turn in turns):
            return "marks"
        answers = [turn.content for turn in turns if turn.role == "assistant"]
        return "turns" if any(map(_SPEAKERS.search, answers)) else "nothing"

    def add(self, where: str, remains: str) -> None:
        """Counts a row, and notes what remains in it."""
        self.looked += 1
        if remains == "marks":
            self.marks.append(where)
        elif remains == "turns":
            self.turns.append(where)

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows with marks, and those with turns where they are the exception."""
        few = len(self.turns) <= _ENOUGH * self.looked
        return {"marks": self.marks, "turns": self.turns if few else []}

    def notes(self) -> list[str]:
        """Returns a line for the marks, and one for the turns."""
        return [
            say(f"detect.{kind}", number=len(places), places=some(places))
            for kind, places in self.rows().items()
            if places
        ]
