"""The same question with different answers: which of them shall the model give?"""

from __future__ import annotations

from tunesmith.data.texts import duplicates
from tunesmith.examples import Chat, Example, Labelled
from tunesmith.words import say, some

MANY = 0.2
"""Above this share of the rows several answers to a question are meant: samples, paraphrases."""


class Answered:
    """The questions that have several answers."""

    def __init__(self) -> None:
        self.looked = 0
        self.first: dict[int, tuple[int, str]] = {}
        self.places: list[tuple[str, str]] = []
        """A row with another answer, and the first with this question."""

    def look(self, example: Example) -> tuple[int, int] | tuple[()] | None:
        """Looks at one row, a conversation or a text with its label; returns the hashes of its
        question and its answer, none where nothing is asked.
        """
        if not isinstance(example, Chat | Labelled):
            return None
        answer = [example.answer] if isinstance(example, Chat) else [repr(example.labels)]
        asked = duplicates.question(example)
        if isinstance(example, Chat):
            system = [turn.content for turn in example.turns if turn.role == "system"]
            asked = [*asked, *system, str(example.tools)] if any(asked) else []
        if not any(part.strip() for part in asked):
            return ()
        return duplicates.fold(asked), duplicates.fold(answer)

    def add(self, where: str, hashes: tuple[int, int] | tuple[()]) -> None:
        """Counts a row, and notes one that answers otherwise than the first with its question."""
        self.looked += 1
        if not hashes:
            return
        asked, given = hashes
        first, there = self.first.setdefault(asked, (given, where))
        if first != given:
            self.places.append((where, there))

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows with another answer than the first, where they are the exception."""
        few = len(self.places) <= MANY * self.looked
        return {"answers": [where for where, _ in self.places] if few else []}

    def notes(self) -> list[str]:
        """Returns one line for them."""
        if not self.rows()["answers"]:
            return []
        places = some([f"{where} ↔ {there}" for where, there in self.places])
        return [say("detect.answers", number=len(self.places), places=places)]
