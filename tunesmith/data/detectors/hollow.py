"""Answers that say nothing where the others do: signs alone (``...``), or a word that stands for a
missing answer (``N/A``, ``<noinput>``, 无); and however many they are, what a program writes for a
missing value (``nan``, ``NULL``), which is no answer and no label of anybody's.
"""

from __future__ import annotations

import re
from statistics import median

from tunesmith.data.files.numbers import MISSING
from tunesmith.examples import Example, Labelled, chats_of
from tunesmith.words import say, some

USUAL, FEW = 20, 0.05
"""Half of the answers must have so many characters, and up to this share may say nothing."""
_NOTHING = re.compile(
    r"[\W_]*(?:n/?a|none|null|nil|nan|tbd|todo|no ?(?:input|output|answer)|empty|undefined"
    r"|无|暂无|没有|空|略|待补充|未知)?[\W_]*",
    re.IGNORECASE,
)


class Hollow:
    """The rows whose answer or label says nothing."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.places: list[str] = []
        self.missing: list[str] = []
        self.unlabelled: list[str] = []

    def look(self, example: Example) -> tuple[str, list[int]]:
        """Looks at the last answer of one row, or at its labels; returns what is missing, and the
        length of each answer.
        """
        if isinstance(example, Labelled):
            named = example.labels if isinstance(example.labels, tuple) else ()
            return ("label" if MISSING.intersection(named) else "nothing"), []
        answers = [chat.answer.strip() for chat in chats_of(example)]
        lengths = [*map(len, answers)]
        short = [answer for answer in answers if answer and len(answer) < USUAL]
        if MISSING.intersection(short):
            return "value", lengths
        return ("words" if any(map(says_nothing, short)) else "nothing"), lengths

    def add(self, where: str, missing_and_lengths: tuple[str, list[int]]) -> None:
        """Counts the answers of a row, and notes one that says nothing."""
        missing, lengths = missing_and_lengths
        self.lengths += lengths
        places = {"label": self.unlabelled, "value": self.missing, "words": self.places}
        if missing in places:
            places[missing].append(where)

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows with a missing value, and the others where they are the exception."""
        usual = bool(self.lengths) and median(self.lengths) >= USUAL
        few = usual and len(self.places) <= FEW * len(self.lengths)
        hollow = [*self.missing, *(self.places if few else ()), *self.unlabelled]
        return {"hollow": hollow} if hollow else {}

    def notes(self) -> list[str]:
        """Returns one line for them."""
        key = "labelled.hollow" if self.unlabelled else "detect.hollow"
        return [
            say(key, number=len(places), places=some(places))
            for places in self.rows().values()
            if places
        ]


def says_nothing(answer: str) -> bool:
    """Tells whether an answer is signs alone, or a word that stands for a missing one."""
    return answer in MISSING or _NOTHING.fullmatch(answer) is not None
