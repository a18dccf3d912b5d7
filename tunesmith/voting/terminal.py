"""Votes in the terminal, where no page can be opened: the same ballots, the same file."""

from __future__ import annotations

import time
from collections.abc import Callable

from tunesmith.voting.ballots import Ballot
from tunesmith.voting.comparison import Comparison
from tunesmith.voting.page import KEYS
from tunesmith.voting.votes import left_of
from tunesmith.words import say

END, BACK = "q", "b"


def vote_here(
    comparison: Comparison, who: str, ask: Callable[[str], str], tell: Callable[[str], None]
) -> None:
    """Shows one ballot after the other and keeps what is typed, until all are done, ``q``, or the
    end of what is typed.
    """
    votes = comparison.votes.read()
    voted = [vote.ballot for vote in votes if vote.who == who]
    if not voted:
        tell("\n".join(comparison.before()))
    waiting = left_of(comparison.ballots, votes, who)
    total = len(comparison.ballots)
    while waiting:
        ballot = waiting[0]
        tell(_shown(ballot, total - len(waiting), total))
        began = time.monotonic()
        try:
            key = _asked(ask, voted)
        except EOFError:
            return
        if key == END:
            return
        if key == BACK:
            waiting.insert(0, voted.pop())
            continue
        comparison.vote(ballot, KEYS[key], who, round(time.monotonic() - began, 1))
        voted.append(waiting.pop(0))
    tell(say("arena.finished", total=total))


def _asked(ask: Callable[[str], str], own: list[Ballot]) -> str:
    """Returns a key that means something."""
    keys = {*KEYS, END, *([BACK] if own else [])}
    question = say("arena.keys_here") + (say("arena.key_back") if own else "") + " "
    while (key := ask(question).strip().lower()) not in keys:
        continue
    return key


def _shown(ballot: Ballot, done: int, total: int) -> str:
    turns = [str(turn["content"]) for turn in ballot.item.messages]
    parts = [say("arena.progress", done=done, total=total), *turns]
    for side, number in zip("AB", (ballot.left, ballot.right), strict=True):
        parts += [f"── {side} " + "─" * 40, ballot.item.answers[number]]
    return "\n" + "\n\n".join(parts) + "\n"
