"""Which two answers a voter sees of each prompt, on which side, and in which order.

All of it is drawn before the first vote, so that nothing that was voted has an influence on it. Of
three contenders and more, pairs are drawn uniformly: adaptive pairs bias the fit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tunesmith.voting.folder import Item


@dataclass(frozen=True)
class Ballot:
    """What a voter sees at once: a prompt and the answers of two contenders (by number)."""

    id: str
    item: Item
    left: int
    right: int

    @property
    def digest(self) -> str:
        """A hash of all that is shown, by which a vote is known to belong to it."""
        shown = [self.item.messages, *(self.item.answers[side] for side in (self.left, self.right))]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]

    def swapped(self) -> Ballot:
        """Returns the same answers on the other sides."""
        return Ballot(f"{self.id}-swapped", self.item, self.right, self.left)


def differing(item: Item) -> list[tuple[int, int]]:
    """Returns the pairs of contenders whose answers to a prompt differ."""
    pairs = combinations(sorted(item.answers), 2)
    return [(left, right) for left, right in pairs if item.answers[left] != item.answers[right]]


def ballots(items: Sequence[Item], twice: float, seed: int) -> list[Ballot]:
    """Draws the ballots of the items that have two different answers.

    Prompts of the first third come again in the last half, as many as the share ``twice`` of all.
    """
    generator = np.random.default_rng(seed)
    deck = []
    for item in items:
        pairs = differing(item)
        if not pairs:
            continue
        pair = pairs[int(generator.integers(len(pairs)))]
        left, right = generator.permutation(pair).tolist()
        deck.append(Ballot(item.id, item, left, right))
    order = generator.permutation(len(deck)).tolist()
    deck = [deck[index] for index in order]
    early = deck[: len(deck) // 3]
    count = min(len(early), round(twice * len(deck)))
    again = generator.permutation(len(early))[:count].tolist()
    half = len(deck) // 2
    late = [*deck[half:], *(early[index].swapped() for index in again)]
    return [*deck[:half], *(late[index] for index in generator.permutation(len(late)).tolist())]
