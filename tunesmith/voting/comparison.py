"""An arena with its answers: the ballots, the votes so far, and what is done with them."""

from __future__ import annotations

from pathlib import Path

from tunesmith.plain import JsonObject
from tunesmith.voting.ballots import Ballot, ballots
from tunesmith.voting.building import left_out
from tunesmith.voting.folder import ArenaFolder
from tunesmith.voting.power import share_shown, votes_needed
from tunesmith.voting.result import Result, result
from tunesmith.voting.rows import Written, write_voted
from tunesmith.voting.votes import Choice, Vote, Votes
from tunesmith.words import say

ADVANTAGES = (0.55, 0.6, 0.7, 0.8)
"""Shares of wins for which the necessary votes are told."""


class Comparison:
    """An arena that was answered: ``ballots`` in the order in which they are shown; ``contenders``
    are known to the program alone until the result.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = ArenaFolder(Path(path))
        facts = self.folder.read()
        self.contenders: list[str] = facts["contenders"]
        self.settings: JsonObject = facts["settings"]
        items = self.folder.read_items()
        self.left: dict[str, int] = self.folder.read()["left"]
        self.ballots: list[Ballot] = ballots(items, self.settings["twice"], self.settings["seed"])
        self.votes = Votes(self.folder.votes, self.ballots, self.contenders)

    def vote(self, ballot: Ballot, choice: Choice, who: str, seconds: float | None = None) -> None:
        """Keeps what a person said of a ballot."""
        self.votes.add(Vote(ballot, choice, who, seconds=seconds))

    def result(self) -> Result:
        """Computes what the votes show."""
        return result(self.votes.read(), self.contenders)

    def write_rows(self, out: str | Path) -> Written:
        """Writes the votes as rows to learn from into a folder."""
        return write_voted(self.votes.read(), self.contenders, Path(out))

    def before(self) -> list[str]:
        """Returns what a voter is told before his first vote."""
        prompts = len({ballot.item.id for ballot in self.ballots})
        again = len(self.ballots) - prompts
        number = len(self.contenders)
        lines = [say("arena.stands", prompts=prompts, again=again, contenders=number)]
        left = left_out(self.left)
        if left:
            lines.append(say("arena.left_out", told=left))
        if number == 2:
            share = share_shown(prompts)
            lines.append(
                say("arena.shows_nothing", votes=prompts)
                if share is None
                else say("arena.shows", votes=prompts, share=f"{100 * share:.0f}")
            )
        needed = ", ".join(
            say("arena.needs", share=f"{100 * share:.0f}", votes=votes_needed(share))
            for share in ADVANTAGES
        )
        return [*lines, say("arena.needed", told=needed)]
