"""What is odd about judged rows: pairs that contradict each other or their scores, answers that
repeat what they answer, and rows of one kind alone.
"""

from __future__ import annotations

from typing import NamedTuple

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

    def look(self, example: Example) -> _Pair | _Judgement | None:
        """Looks at one row; returns what may be odd about it beside others."""
        if isinstance(example, Preference):
            return _pair(example)
        return _judgement(example) if isinstance(example, Feedback) else None

    def add(self, where: str, row: _Pair | _Judgement) -> None:
        """Notes the oddities of one row."""
        if isinstance(row, _Pair):
            self._add_pair(where, row)
        else:
            self._add_judgement(where, row)

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

    def _add_pair(self, where: str, pair: _Pair) -> None:
        both = pair.sides
        if both[0] == both[1]:  # it contradicts no other pair, and itself only in spacing
            self._note("alike", where)
            both = ()
        self.seen.setdefault((pair.asked, *both), where)
        other = self.seen.get((pair.asked, *reversed(both))) if both else None
        if other is not None:
            self._note("contradiction", where, other)
        for kind in pair.odd:
            self._note(kind, where)

    def _add_judgement(self, where: str, row: _Judgement) -> None:
        self.kinds[bool(row.desirable)] += 1
        judged, first = self.liked.setdefault(row.content, (row.desirable, where))
        if judged != row.desirable:
            self._note("both_kinds", where, first)
        if row.repeats:
            self._note("prompt_inside", where)


class _Pair(NamedTuple):
    """A pair by itself: hashes of its question and of its two sides, and what is odd about it."""

    asked: int
    sides: tuple[int, ...]
    odd: list[str]


class _Judgement(NamedTuple):
    """A judged answer by itself: a hash, how it is judged, and whether it repeats its question."""

    content: int
    desirable: bool | None
    repeats: bool


def _pair(example: Preference) -> _Pair:
    asked = duplicates.fold(duplicates.question(example))
    sides = tuple(duplicates.fold(duplicates.content(side)) for side in example.sides)
    odd: list[str] = []
    if example.margin is not None and example.margin < 0:
        odd.append("margin")
    scores = _scores(example.columns)
    if scores is not None and scores[0] <= scores[1]:
        odd.append("tie" if scores[0] == scores[1] else "order")
    if all(_repeats(example.prompt, chat.answer) for chat in example.sides):
        odd.append("prompt_inside")
    return _Pair(asked, sides, odd)


def _judgement(example: Feedback) -> _Judgement:
    return _Judgement(
        duplicates.fold(duplicates.content(example)[:-1]),
        example.desirable,
        _repeats(example.chat.prompt, example.chat.answer),
    )


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
