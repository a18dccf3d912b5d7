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
        self.rows = 0
        self.first: dict[int, tuple[int, str]] = {}
        self.places: list[str] = []

    def add(self, where: str, example: Example) -> None:
        """Looks at one row: a conversation, or a text with its label."""
        if not isinstance(example, Chat | Labelled):
            return
        self.rows += 1
        answer = [example.answer] if isinstance(example, Chat) else [repr(example.labels)]
        asked = duplicates.question(example)
        if isinstance(example, Chat):
            system = [turn.content for turn in example.turns if turn.role == "system"]
            asked = [*asked, *system, str(example.tools)] if any(asked) else []
        if not any(part.strip() for part in asked):
            return  # nothing is asked
        given = duplicates.fold(answer)
        known, there = self.first.setdefault(duplicates.fold(asked), (given, where))
        if known != given:
            self.places.append(f"{where} ↔ {there}")

    def notes(self) -> list[str]:
        """Returns one line, where it is the exception."""
        if not self.places or len(self.places) > MANY * self.rows:
            return []
        return [say("detect.answers", number=len(self.places), places=some(self.places))]
