"""Pairs, sides and order are drawn before the first vote, evenly, and the same each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from material.voted import arena_of
from tunesmith.voting.ballots import ballots
from tunesmith.voting.folder import Item


def test_sides_pairs_and_repeats(tmp_path: Path):
    found = arena_of(tmp_path, prompts=300, names=("a1", "b1", "c1")).ballots
    assert [one.id for one in found] == [
        one.id for one in arena_of(tmp_path, 300, ("a1", "b1", "c1")).ballots
    ]
    firsts = [one for one in found if not one.id.endswith("-swapped")]
    assert len(firsts) == 300 and len(found) == 330
    sides = Counter((one.left, one.right) for one in firsts)
    # Six ordered pairs, 50 each: 5 standard deviations are 32.
    assert len(sides) == 6 and all(18 < count < 82 for count in sides.values())
    assert [one.item.id for one in firsts] != sorted((one.item.id for one in firsts), key=int)
    places = {one.id: place for place, one in enumerate(found)}
    for again in (one for one in found if one.id.endswith("-swapped")):
        first = found[places[again.id.removesuffix("-swapped")]]
        assert (again.left, again.right) == (first.right, first.left)
        assert places[again.id] - places[first.id] > 30


def test_equal_answers_are_not_voted_on():
    asked = [{"role": "user", "content": "q"}]
    items = [
        Item("1", asked, {0: "x", 1: "x"}),
        Item("2", asked, {0: "x", 1: "y"}),
        Item("3", asked, {1: "y"}),
    ]
    assert [one.id for one in ballots(items, 0.5, 0)] == ["2"]
