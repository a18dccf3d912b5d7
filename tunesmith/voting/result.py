"""What the votes show: shares with intervals, a sign test, how far a voter agrees with himself, and
how far people and judges agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from tunesmith.plain import JsonObject
from tunesmith.proving.statistics import FEWEST, LEVEL, interval, resample, without_each
from tunesmith.voting.power import share_shown, votes_needed
from tunesmith.voting.strength import Duels, drawn_weights, preferred, strengths
from tunesmith.voting.votes import Vote

RESAMPLES = 1000


@dataclass(frozen=True)
class Share:
    """A share between 0 and 1 with its 95 % interval; None where there is too little for one."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_json(self) -> JsonObject:
        """Returns the share for programs."""
        return dict(vars(self))


@dataclass(frozen=True)
class Pair:
    """Two contenders against each other, by number; ``share`` is what the first won, a tie half."""

    first: int
    second: int
    wins: int
    losses: int
    ties: int
    both_bad: int
    share: Share
    p: float
    """Of the exact sign test on decisive votes, two-sided."""

    @property
    def votes(self) -> int:
        """The number of votes."""
        return self.wins + self.losses + self.ties + self.both_bad

    @property
    def winner(self) -> int | None:
        """The contender that is shown to be preferred; None where neither is."""
        low, high = self.share.low, self.share.high
        if low is not None and low > 0.5:
            return self.first
        return self.second if high is not None and high < 0.5 else None


@dataclass(frozen=True)
class Tally:
    """What one kind of voters said."""

    votes: int
    skipped: int
    pairs: list[Pair]
    left_share: Share | None
    """How often the left answer won, of decisive votes; a voter without a side stands at a half."""
    longer_share: Share | None
    """How often the longer answer won, of decisive votes on answers of two lengths."""
    again: tuple[int, int]
    """Ballots that came twice and got the same verdict both times, of how many."""
    strengths: list[Share] = field(default_factory=list)
    """The chance of each contender to be preferred to the first one, by all votes together."""
    at_equal_length: list[Share] = field(default_factory=list)
    """The same where both answers are equally long."""


@dataclass(frozen=True)
class Result:
    """The tallies of people and of judges, and on how many ballots both gave one verdict."""

    contenders: list[str]
    people: Tally | None
    judges: Tally | None
    agreed: tuple[int, int]

    def to_json(self) -> JsonObject:
        """Returns the result for programs."""
        return {
            "contenders": self.contenders,
            "people": _plain(self.people),
            "judges": _plain(self.judges),
            "agreed": {"same": self.agreed[0], "of": self.agreed[1]},
        }


def result(votes: Sequence[Vote], contenders: Sequence[str]) -> Result:
    """Computes what the votes show; people and judges apart."""
    people = [vote for vote in votes if not vote.judge]
    judges = [vote for vote in votes if vote.judge]
    return Result(
        list(contenders),
        tally(people, len(contenders)) if people else None,
        tally(judges, len(contenders)) if judges else None,
        _agreed(people, judges),
    )


def tally(votes: Sequence[Vote], contenders: int) -> Tally:
    """Computes what votes of one kind show of ``contenders`` contenders."""
    said = [vote for vote in votes if vote.choice != "skip"]
    decisive = [vote for vote in said if vote.winner is not None]
    uneven = [vote for vote in decisive if _longer(vote)]
    pairs = [_pair(said, pair) for pair in combinations(range(contenders), 2)]
    result = Tally(
        votes=len(said),
        skipped=len(votes) - len(said),
        pairs=[pair for pair in pairs if pair.votes],
        left_share=_share(decisive, [float(vote.choice == "left") for vote in decisive]),
        longer_share=_share(
            uneven, [float((vote.choice == "left") == (_longer(vote) > 0)) for vote in uneven]
        ),
        again=_again(said),
    )
    if len(said) >= FEWEST:
        result.strengths.extend(_strengths(said, contenders, by_length=False))
        result.at_equal_length.extend(_strengths(said, contenders, by_length=True))
    return result


def _pair(votes: Sequence[Vote], pair: tuple[int, int]) -> Pair:
    first, second = pair
    between = [vote for vote in votes if {vote.ballot.left, vote.ballot.right} == set(pair)]
    wins = sum(vote.winner == first for vote in between)
    losses = sum(vote.winner == second for vote in between)
    scores = [{first: 1.0, second: 0.0}.get(_won(vote), 0.5) for vote in between]
    return Pair(
        first,
        second,
        wins,
        losses,
        sum(vote.choice == "tie" for vote in between),
        sum(vote.choice == "both_bad" for vote in between),
        _share(between, scores) or Share(math.nan),
        sign_test(wins, losses),
    )


def _won(vote: Vote) -> int:
    return -1 if vote.winner is None else vote.winner


def sign_test(wins: int, losses: int) -> float:
    """Computes the two-sided exact p-value of so many wins and losses under a fair coin."""
    flips = wins + losses
    tail = sum(math.comb(flips, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**flips)


def _share(votes: Sequence[Vote], scores: Sequence[float]) -> Share | None:
    """Returns the mean of the scores, with an interval over whole prompts: votes on one prompt, by
    several people or twice, are no independent ones.
    """
    if not votes:
        return None
    value = sum(scores) / len(scores)
    names = _places(votes)
    if len(names) < FEWEST:
        return Share(value)
    table = np.zeros((len(names), 2))
    for vote, score in zip(votes, scores, strict=True):
        table[names[vote.ballot.item.id]] += (score, 1)
    sums = resample({"share": table}, seed=0)["share"]
    around_half = interval(value - 0.5, _above_half(sums), without_each(table, _above_half))
    return Share(value, max(0.0, 0.5 + around_half.low), min(1.0, 0.5 + around_half.high))


def _places(votes: Sequence[Vote]) -> dict[str, int]:
    """Numbers the prompts that were voted on, in their order."""
    names = dict.fromkeys(vote.ballot.item.id for vote in votes)
    return {name: index for index, name in enumerate(names)}


def _above_half(sums: np.ndarray) -> np.ndarray:
    """Computes the mean score less a half from sums of scores and counts [..., 2]."""
    return sums[..., 0] / sums[..., 1] - 0.5


def _again(votes: Sequence[Vote]) -> tuple[int, int]:
    """Counts the prompts that one voter saw twice: with the same verdict, and all."""
    seen: dict[tuple[str, str], set[int | str]] = {}
    times: dict[tuple[str, str], int] = {}
    for vote in votes:
        key = (vote.ballot.item.id, vote.who)
        seen.setdefault(key, set()).add(_verdict(vote))
        times[key] = times.get(key, 0) + 1
    twice = [key for key, count in times.items() if count > 1]
    return sum(len(seen[key]) == 1 for key in twice), len(twice)


def _verdict(vote: Vote) -> int | str:
    """Returns the winner, or which kind of vote for neither."""
    return vote.choice if vote.winner is None else vote.winner


def _agreed(people: Sequence[Vote], judges: Sequence[Vote]) -> tuple[int, int]:
    """Counts the pairs of one person's and one judge's verdict on a prompt: equal ones, and all."""
    same = every = 0
    for vote in people:
        for other in judges:
            if vote.ballot.item.id != other.ballot.item.id or "skip" in (vote.choice, other.choice):
                continue
            every += 1
            same += _verdict(vote) == _verdict(other)
    return same, every


def _longer(vote: Vote) -> float:
    """Returns the difference of the log lengths of the left and the right answer (characters)."""
    answers = vote.ballot.item.answers
    left, right = (len(answers[side]) for side in (vote.ballot.left, vote.ballot.right))
    return math.log(max(left, 1) / max(right, 1))


def _strengths(votes: Sequence[Vote], contenders: int, *, by_length: bool) -> list[Share]:
    names = _places(votes)
    scores = {"left": 1.0, "right": 0.0}
    duels = Duels(
        np.array([vote.ballot.left for vote in votes]),
        np.array([vote.ballot.right for vote in votes]),
        np.array([scores.get(vote.choice, 0.5) for vote in votes]),
        np.array([_longer(vote) for vote in votes]),
        np.array([names[vote.ballot.item.id] for vote in votes]),
    )
    # The first row is the votes as they are.
    drawn_Rn = drawn_weights(duels.item_n, RESAMPLES, seed=0)
    weights_Rn = np.concatenate([np.ones((1, len(duels))), drawn_Rn])
    found_RC = strengths(duels, contenders, weights_Rn, by_length=by_length)
    shares = []
    for number in range(contenders):
        chance_R = preferred(found_RC, number, 0)
        low, high = np.quantile(chance_R[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        shares.append(Share(float(chance_R[0]), float(low), float(high)))
    return shares


def _plain(tally: Tally | None) -> JsonObject | None:
    if tally is None:
        return None
    pairs = [
        {**vars(pair), "share": pair.share.to_json(), "winner": pair.winner} for pair in tally.pairs
    ]
    return {
        "votes": tally.votes,
        "skipped": tally.skipped,
        "pairs": pairs,
        "left": tally.left_share and tally.left_share.to_json(),
        "longer": tally.longer_share and tally.longer_share.to_json(),
        "again": {"same": tally.again[0], "of": tally.again[1]},
        "preferred_to_first": [strength.to_json() for strength in tally.strengths],
        "at_equal_length": [strength.to_json() for strength in tally.at_equal_length],
    }


def still_needed(pair: Pair) -> int | None:
    """Counts the decisive votes that would show the share won so far; None where it is a half."""
    decisive = pair.wins + pair.losses
    if not decisive or pair.wins == pair.losses:
        return None
    return max(0, votes_needed(pair.wins / decisive) - decisive)


__all__ = ["Result", "Tally", "result", "share_shown", "still_needed", "tally"]
