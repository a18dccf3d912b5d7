"""The votes: one line each, on the disk before the next answer is shown; none is ever changed.

Who thinks again votes again: of several votes of one voter on one ballot the last one counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.voting.ballots import Ballot
from tunesmith.words import say

Choice = Literal["left", "right", "tie", "both_bad", "skip"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True)
class Vote:
    """What one voter said of one ballot. ``judge`` tells a model that votes from a person."""

    ballot: Ballot
    choice: Choice
    who: str
    judge: bool = False
    seconds: float | None = None
    """From when the answers were shown."""
    when: str = ""
    """The time in UTC."""

    @property
    def winner(self) -> int | None:
        """The contender that won; None where none did."""
        return {"left": self.ballot.left, "right": self.ballot.right}.get(self.choice)


class Votes:
    """The votes on the ballots of an arena, in the file at ``path``."""

    def __init__(self, path: Path, ballots: Sequence[Ballot], contenders: Sequence[str]) -> None:
        self.path, self.contenders = path, contenders
        self.known = {ballot.id: ballot for ballot in ballots}

    def add(self, vote: Vote) -> None:
        """Keeps a vote: from here on it outlives the process and the machine. SpecError, with
        nothing written, for one that ``read`` would not take.
        """
        ballot = vote.ballot
        if vote.choice not in CHOICES:
            fields = {"vote": repr(vote.choice), "known": ", ".join(CHOICES)}
            raise SpecError(Problem("vote", say("arena.vote_unknown", **fields)))
        line = {
            "ballot": ballot.id,
            "left": self.contenders[ballot.left],
            "right": self.contenders[ballot.right],
            "vote": vote.choice,
            "who": vote.who,
            "judge": vote.judge,
            "seconds": vote.seconds,
            "when": vote.when or datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "shown": ballot.digest,
        }
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        from filelock import FileLock

        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=60)
        # In append mode every write goes to the end, wherever was read.
        with lock, open(self.path, "ab+") as file:
            _cut_torn_line(file)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Vote]:
        """Reads the votes that count; raises DataError with every line that is no vote of this
        arena. A last line that was not written to its end was never a vote.
        """
        if not self.path.is_file():
            return []
        latest: dict[tuple[str, str], Vote] = {}
        problems = []
        for number, line in enumerate(self.path.read_bytes().split(b"\n")[:-1], 1):
            if not line.strip():
                continue
            vote = self._vote(line)
            if isinstance(vote, str):
                problems.append(Problem(f"{self.path}:{number}", vote))
            else:
                latest[vote.ballot.id, vote.who] = vote
        if problems:
            raise DataError(problems)
        return list(latest.values())

    def _vote(self, line: bytes) -> Vote | str:
        """Returns the vote of a line, or what is wrong with it."""
        try:
            stored = json.loads(line)
        except ValueError:
            return say("arena.vote_not_json")
        if not isinstance(stored, dict):
            return say("arena.vote_not_json")
        ballot = self.known.get(str(stored.get("ballot")))
        if ballot is None:
            return say("arena.vote_of_another", ballot=repr(stored.get("ballot")))
        if stored.get("vote") not in CHOICES:
            allowed = ", ".join(CHOICES)
            return say("arena.vote_unknown", vote=repr(stored.get("vote")), known=allowed)
        sides = [self.contenders[ballot.left], self.contenders[ballot.right]]
        if [stored.get("left"), stored.get("right")] != sides or stored.get(
            "shown"
        ) != ballot.digest:
            return say("arena.vote_changed")
        return _made(ballot, stored)


def _made(ballot: Ballot, told: JsonObject) -> Vote:
    seconds = told.get("seconds")
    return Vote(
        ballot,
        told["vote"],
        str(told.get("who", "")),
        judge=bool(told.get("judge")),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        when=str(told.get("when", "")),
    )


def _cut_torn_line(file: BinaryIO) -> None:
    """Cuts off what a killed process began to write."""
    size = file.seek(0, os.SEEK_END)
    end = size
    while end:
        file.seek(end - 1)
        if file.read(1) == b"\n":
            break
        end -= 1
    if end != size:
        file.truncate(end)


def left_of(ballots: Sequence[Ballot], votes: Sequence[Vote], who: str) -> list[Ballot]:
    """Returns the ballots on which a voter has not voted, those that were skipped left out too."""
    done = {vote.ballot.id for vote in votes if vote.who == who}
    return [ballot for ballot in ballots if ballot.id not in done]
