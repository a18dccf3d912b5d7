"""What is doubtful about judgements of answers: told with rows, and changed nowhere."""

from __future__ import annotations

from tunesmith.data import duplicates
from tunesmith.examples import Example, Feedback, Preference
from tunesmith.words import say

SHOWN = 3


class Judgements:
    """Looks at preferences and judged answers one by one; ``notes`` tells what was found."""

    def __init__(self) -> None:
        self._sides: dict[tuple[int, int], str] = {}
        self._kinds: dict[bool, int] = {True: 0, False: 0}
        self._contradict: list[str] = []
        self._repeat: list[str] = []

    def add(self, where: str, example: Example) -> None:
        """Takes one row in; ``where`` is its file and row."""
        if isinstance(example, Feedback) and example.desirable is not None:
            self._kinds[example.desirable] += 1
        if isinstance(example, Preference):
            self._add_pair(where, example)

    def _add_pair(self, where: str, pair: Preference) -> None:
        better, worse = (
            duplicates.fold([part for turn in chat.turns for part in (turn.role, turn.content)])
            for chat in pair.sides
        )
        other = self._sides.get((worse, better))
        if other is not None:
            self._contradict.append(f"{other} / {where}")
        self._sides.setdefault((better, worse), where)
        asked = pair.prompt.turns[-1].content.strip()
        if asked and any(
            side[0].content.strip() != asked and side[0].content.strip().startswith(asked)
            for side in (pair.chosen, pair.rejected)
            if side
        ):
            self._repeat.append(where)

    def notes(self) -> list[str]:
        """What was found, for the ledger."""
        found = [
            say(f"ledger.judged_{name}", number=len(rows), rows=", ".join(rows[:SHOWN]))
            for name, rows in (("contradict", self._contradict), ("repeat", self._repeat))
            if rows
        ]
        good, bad = self._kinds[True], self._kinds[False]
        if bool(good) != bool(bad):
            found.append(
                say("ledger.judged_good" if good else "ledger.judged_bad", number=good + bad)
            )
        return found
