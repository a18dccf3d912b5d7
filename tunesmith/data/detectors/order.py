"""Turns out of order: conversations that no chat looks like, and that many templates refuse."""

from __future__ import annotations

from itertools import pairwise

from tunesmith.examples import Chat, Example, Turn, chats_of
from tunesmith.words import say, some


class Order:
    """The rows with turns out of order, by what is wrong with them."""

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {
            f"order_{kind}": [] for kind in ("system", "result", "call", "twice")
        }

    def look(self, example: Example) -> set[str] | None:
        """Looks at the turns of one row; returns what is wrong with their order."""
        return {kind for chat in chats_of(example) for kind in _wrong(chat)} or None

    def add(self, where: str, wrong: set[str]) -> None:
        """Notes a row with turns out of order."""
        for kind in wrong:
            self.places[f"order_{kind}"].append(where)

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows of each kind of disorder."""
        return self.places

    def notes(self) -> list[str]:
        """Returns a line for each kind of disorder."""
        return [
            say(f"detect.{kind}", number=len(places), places=some(places))
            for kind, places in self.places.items()
            if places
        ]


def _wrong(chat: Chat) -> set[str]:
    turns = chat.turns
    faults = {"system"} if any(turn.role == "system" for turn in turns[1:]) else set[str]()
    pairs = [*pairwise(turns)]
    if any(turn.role == "tool" for turn in turns[:1]) or any(
        turn.role == "tool" and not _asked(before) for before, turn in pairs
    ):
        faults.add("result")
    if any(before.tool_calls and turn.role != "tool" for before, turn in pairs):
        faults.add("call")
    if any(before.role == turn.role != "tool" for before, turn in pairs):
        faults.add("twice")
    return faults


def _asked(before: Turn) -> bool:
    """Tells whether a tool's result may stand after this turn: a call, or another result."""
    return before.role == "tool" or bool(before.tool_calls)
