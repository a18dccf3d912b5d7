"""What votes show: known numbers, and words that never say more than they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from material.voted import NAMES, arena_of
from tunesmith.voting.comparison import Comparison
from tunesmith.voting.power import share_shown, votes_needed
from tunesmith.voting.result import sign_test
from tunesmith.voting.telling import lines_of
from tunesmith.voting.votes import Vote


def vote_all(
    found: Comparison, choices: Sequence[str], who: str = "me", judge: bool = False
) -> None:
    """Votes for contender 0 ("0"), contender 1 ("1"), or what else is said, in the deck's order."""
    for ballot, said in zip(found.ballots, choices, strict=False):
        choice = said
        if said in "01":
            choice = "left" if ballot.left == int(said) else "right"
        found.votes.add(Vote(ballot, choice, who, judge=judge))  # type: ignore[arg-type]


def test_known_numbers():
    # A normal approximation counted by hand: 2.8016 squared, quartered, by the distance squared.
    assert [votes_needed(share) for share in (0.55, 0.6, 0.65, 0.7, 0.75)] == [785, 197, 88, 50, 32]
    assert share_shown(100) == pytest.approx(0.64, abs=0.001)
    assert [share_shown(votes) for votes in (0, 2, 5, 6)] == [None, None, None, 1.0]
    assert sign_test(5, 0) > 0.05 > sign_test(6, 0)
    assert sign_test(60, 40) == pytest.approx(0.0569, abs=1e-4)
    assert sign_test(61, 39) == pytest.approx(0.0352, abs=1e-4)
    assert sign_test(0, 0) == 1


def test_votes_that_can_show_nothing_are_not_promised_to(tmp_path: Path):
    few = arena_of(tmp_path / "few", prompts=5, twice=0).before()
    assert any("5 votes are too few to show which model is better" in line for line in few)
    more = arena_of(tmp_path / "more", prompts=20, twice=0).before()
    assert any("a model with 81 % of them or more is proven better" in line for line in more)


def test_a_share_has_its_interval_and_a_clear_one_is_shown(tmp_path: Path):
    found = arena_of(tmp_path, prompts=100, twice=0)
    vote_all(found, ["0"] * 60 + ["tie"] * 12 + ["both_bad"] * 8 + ["1"] * 20)
    people = found.result().people
    assert people is not None
    [pair] = people.pairs
    assert (pair.wins, pair.losses, pair.ties, pair.both_bad) == (60, 20, 12, 8)
    assert pair.share.value == pytest.approx(0.7) and pair.winner == 0
    assert pair.share.low == pytest.approx(0.622, abs=0.012)
    assert pair.share.high == pytest.approx(0.778, abs=0.012)
    told = "\n".join(lines_of(found.result()))
    assert (
        f"{NAMES[0]} is preferred to {NAMES[1]}" in told and "12 equally good, 8 both bad" in told
    )


def test_what_is_not_shown_says_how_many_votes_would_show_it(tmp_path: Path):
    found = arena_of(tmp_path, prompts=50, twice=0)
    vote_all(found, ["0"] * 28 + ["1"] * 22)
    told = "\n".join(lines_of(found.result()))
    # 28 of 50 are 0.56, which takes 546 decisive votes.
    assert "neither is preferred" in told and "about 496 more decisive votes" in told
    vote_all(found, ["0"] * 5, who="other")
    few = arena_of(tmp_path / "few", prompts=8)
    vote_all(few, ["0"] * 8)
    assert "too few prompts for an interval" in "\n".join(lines_of(few.result()))


def test_several_voters_on_one_prompt_are_not_several_prompts(tmp_path: Path):
    once, often = arena_of(tmp_path / "a", 40, twice=0), arena_of(tmp_path / "b", 40, twice=0)
    choices = ["0"] * 25 + ["1"] * 15
    vote_all(once, choices)
    for who in "abcd":
        vote_all(often, choices, who=who)
    alone, together = (one.result().people.pairs[0].share for one in (once, often))  # type: ignore[union-attr]
    assert (alone.value, alone.low, alone.high) == (together.value, together.low, together.high)


def test_a_voter_who_takes_sides_and_contradicts_himself_is_told(tmp_path: Path):
    found = arena_of(tmp_path, prompts=100, twice=0.2)
    for ballot in found.ballots:
        found.vote(ballot, "left", "me")
    people = found.result().people
    assert people is not None and people.again == (0, 20)
    assert people.left_share is not None and people.left_share.value == 1
    told = "\n".join(lines_of(found.result()))
    assert "0 of 20 prompts that were shown twice" in told and "the left answer won 100 %" in told


def test_length_is_told_and_taken_out(tmp_path: Path):
    found = arena_of(tmp_path, prompts=60, twice=0)
    vote_all(found, ["1"] * 45 + ["0"] * 15)
    people = found.result().people
    assert people is not None and people.longer_share is not None
    assert people.longer_share.value == pytest.approx(0.75)  # contender 1 always writes more
    # All answers of one are longer by about the same: length and contender cannot be told apart.
    low, high = people.at_equal_length[1].low, people.at_equal_length[1].high
    assert low is not None and high is not None and high - low > 0.1


def test_three_contenders_get_strengths_against_the_first(tmp_path: Path):
    found = arena_of(tmp_path, prompts=120, names=("one", "two", "three"), twice=0)
    for place, ballot in enumerate(found.ballots):
        best = max(ballot.left, ballot.right)
        wins = best if place % 4 else min(ballot.left, ballot.right)
        found.vote(ballot, "left" if ballot.left == wins else "right", "me")
    people = found.result().people
    assert people is not None and len(people.pairs) == 3
    first, second, third = people.strengths
    assert first.value == 0.5 and 0.5 < second.value < third.value
    assert third.low is not None and third.low > 0.5
    told = "\n".join(lines_of(found.result()))
    assert "Bradley–Terry" in told and "  three: " in told


def test_judges_are_told_apart_and_compared_with_people(tmp_path: Path):
    found = arena_of(tmp_path, prompts=20, twice=0)
    vote_all(found, ["0"] * 12 + ["1"] * 8)
    vote_all(found, ["0"] * 16 + ["tie"] * 4, who="judge:x", judge=True)
    seen = found.result()
    assert seen.people is not None and seen.people.votes == 20
    assert seen.judges is not None and seen.judges.votes == 20 and seen.agreed == (12, 20)
    assert "same verdict in 12 of 20 comparisons (60 %)" in "\n".join(lines_of(seen))
