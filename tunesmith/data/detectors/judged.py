"""What is odd about judged rows: pairs that contradict each other or their scores, answers that
repeat what they answer, and rows of one kind alone.
"""

from __future__ import annotations

from tunesmith.data.columns.cells import is_number
from tunesmith.data.columns.names import PAIR_SCORES
from tunesmith.data.texts import duplicates
from tunesmith.examples import Chat, Example, Feedback, Preference
from tunesmith.plain import Named
from tunesmith.words import say, some


class Judged:
    """The oddities of judged rows, collected row by row; ``notes`` lists them, with the rows."""

    def __init__(self) -> None:
        self.places: dict[str, list[tuple[str, str]]] = {}
        """By what is odd: the row, and how it is named, with another where there is one."""
        self.seen: dict[tuple[int, ...], str] = {}
        self.liked: dict[int, tuple[bool | None, str]] = {}
        self.kinds = {True: 0, False: 0}

    def add(self, where: str, example: Example) -> None:
        """Looks for oddities in one row."""
        if isinstance(example, Preference):
            self._pair(where, example)
        elif isinstance(example, Feedback):
            self._feedback(where, example)

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows of each kind of oddity; of two that contradict each other the later."""
        return {kind: [where for where, _ in places] for kind, places in self.places.items()}

    def notes(self) -> list[str]:
        """Returns a note for each kind of oddity, one line each."""
        notes = [
            say(f"judged.{kind}", number=len(places), places=some([pair for _, pair in places]))
            for kind, places in self.places.items()
        ]
        if sum(self.kinds.values()) and not all(self.kinds.values()):
            kind = "good" if self.kinds[True] else "bad"
            notes.append(say(f"judged.only_{kind}", number=sum(self.kinds.values())))
        return notes

    def _note(self, kind: str, where: str, other: str | None = None) -> None:
        pair = where if other is None else f"{where} ↔ {other}"
        self.places.setdefault(kind, []).append((where, pair))

    def _pair(self, where: str, example: Preference) -> None:
        sides = [chat.answer for chat in example.sides]
        asked = duplicates.fold(duplicates.question(example))
        both = [duplicates.fold(duplicates.content(side)) for side in example.sides]
        if both[0] == both[1]:  # it contradicts no other pair, and itself only in spacing
            self._note("alike", where)
            both = []
        self.seen.setdefault((asked, *both), where)
        other = self.seen.get((asked, *reversed(both))) if both else None
        if other is not None:
            self._note("contradiction", where, other)
        if example.margin is not None and example.margin < 0:
            self._note("margin", where)
        scores = _scores(example.columns)
        if scores is not None and scores[0] <= scores[1]:
            self._note("tie" if scores[0] == scores[1] else "order", where)
        if all(_repeats(example.prompt, side) for side in sides):
            self._note("prompt_inside", where)

    def _feedback(self, where: str, example: Feedback) -> None:
        self.kinds[bool(example.desirable)] += 1
        key = duplicates.fold(duplicates.content(example)[:-1])
        judged, first = self.liked.setdefault(key, (example.desirable, where))
        if judged != example.desirable:
            self._note("both_kinds", where, first)
        if _repeats(example.chat.prompt, example.chat.answer):
            self._note("prompt_inside", where)


def _scores(columns: Named) -> tuple[float, float] | None:
    """Returns the scores of chosen and rejected, where the row has both."""
    for names in PAIR_SCORES:
        chosen, rejected = (columns.get(name) for name in names)
        if (
            chosen is not None
            and rejected is not None
            and is_number(chosen)
            and is_number(rejected)
        ):
            return float(chosen), float(rejected)
    return None


def _repeats(prompt: Chat, answer: str) -> bool:
    """Tells whether an answer begins by repeating its whole question."""
    asked = next((turn.content.strip() for turn in reversed(prompt.turns)), "")
    begins = answer.strip()
    return len(asked) > 3 and begins.startswith(asked) and len(begins) > len(asked)
