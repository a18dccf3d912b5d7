"""Votes as rows to learn from: pairs for ``dpo`` and ``reward``, judged answers for ``kto``.

Their mark keeps these prompts out of every later proof: whoever chose a model by them would score
himself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.columns.names import CAME_FROM, VOTED
from tunesmith.data.files.writing import write_rows
from tunesmith.errors import DataError, Problem
from tunesmith.plain import JsonObject
from tunesmith.voting.votes import Vote
from tunesmith.words import say

PAIRS, JUDGED = "pairs.jsonl", "judged.jsonl"


@dataclass(frozen=True)
class Written:
    """The rows that were written, and the prompts that gave none."""

    folder: str
    pairs: int
    judged: int
    ties: int
    conflicts: int
    """Prompts on which as many votes went one way as another."""

    def to_json(self) -> JsonObject:
        """Returns the counts for programs."""
        return dict(vars(self))

    def lines(self) -> list[str]:
        """Returns lines for a person to read."""
        lines = []
        if self.pairs:
            lines.append(say("arena.pairs", count=self.pairs, path=Path(self.folder) / PAIRS))
        lines.append(say("arena.judged", count=self.judged, path=Path(self.folder) / JUDGED))
        left = {"ties": self.ties, "conflicts": self.conflicts}
        return [*lines, say("arena.no_rows", **left)]


def write_voted(votes: Sequence[Vote], contenders: Sequence[str], out: Path) -> Written:
    """Writes what people said as ``pairs.jsonl`` and ``judged.jsonl`` into ``out``; raises
    DataError where no vote decides anything. Votes of judges count where there are none of people.
    """
    people = [vote for vote in votes if not vote.judge]
    kept = people or votes
    of_item: dict[str, list[Vote]] = {}
    for vote in kept:
        if vote.choice != "skip":
            of_item.setdefault(vote.ballot.item.id, []).append(vote)
    pairs: list[JsonObject] = []
    judged: list[JsonObject] = []
    counts: Counter[str] = Counter()
    for several in of_item.values():
        verdict = _majority(several)
        vote = several[0]
        said = (vote.ballot.left, vote.ballot.right)
        if verdict in ("tie", "conflict"):
            counts[str(verdict)] += 1
            continue
        if isinstance(verdict, int):
            lost = said[0] if verdict == said[1] else said[1]
            pairs.append(_pair(vote, verdict, lost, contenders))
        judged += [_judged(vote, word, word == verdict, contenders) for word in said]
    if not judged:
        raise DataError(Problem(str(out), say("arena.nothing_decided", votes=len(kept))))
    if pairs:
        write_rows(out / PAIRS, lambda: iter(pairs))
    write_rows(out / JUDGED, lambda: iter(judged))
    return Written(str(out), len(pairs), len(judged), counts["tie"], counts["conflict"])


def _majority(votes: Sequence[Vote]) -> int | str:
    """Returns the contender that most votes on a prompt went to, or ``tie``, ``both_bad`` or
    ``conflict``.
    """
    said = Counter(vote.choice if vote.winner is None else vote.winner for vote in votes)
    (first, most), *others = said.most_common()
    return "conflict" if others and others[0][1] == most else first


def _pair(vote: Vote, won: int, lost: int, contenders: Sequence[str]) -> JsonObject:
    item = vote.ballot.item
    return {
        "messages": item.messages,
        "chosen": item.answers[won],
        "rejected": item.answers[lost],
        "chosen_model": contenders[won],
        "rejected_model": contenders[lost],
        **_about(vote),
    }


def _judged(vote: Vote, number: int, good: bool, contenders: Sequence[str]) -> JsonObject:
    item = vote.ballot.item
    answer = {"role": "assistant", "content": item.answers[number]}
    messages = [*item.messages, answer]
    return {"messages": messages, "label": good, "model": contenders[number], **_about(vote)}


def _about(vote: Vote) -> JsonObject:
    mark = {"file": "votes.jsonl", "row": vote.ballot.id, "steps": ["arena"], VOTED: True}
    return {"voter": vote.who, "voted_at": vote.when, CAME_FROM: mark}
