"""How examples are divided into micro-batches, by a budget of tokens that a model really computes,
and those that one process runs of a step or of an evaluation. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.forest import common_beginning

Example = Sequence[Tokens]


def cut(
    examples: Sequence[Example],
    budget: int,
    *,
    padded: bool = False,
    parts: int = 1,
    waste: float = math.inf,
) -> list[list[int]]:
    """Divides ``examples`` into micro-batches of indices, none of which costs more than ``budget``
    tokens unless one example alone does.

    A forest costs the tokens that are not shared, so examples that begin alike come together;
    padded rows cost their count times the longest, so examples of one length do. None has more than
    ``waste`` tokens of padding, which is what a pass of its own costs. For several ``parts`` there
    are as many micro-batches as give each part the same number, where the rows suffice, and the
    dearest costs as little as it can.
    """
    key = _longest if padded else _beginning
    order = sorted(range(len(examples)), key=lambda index: (key(examples[index]), index))

    def filled(room: int) -> list[list[int]]:
        return _filled(examples, order, room, padded=padded, waste=waste)

    batches = filled(budget)
    if parts == 1 or not batches:
        return batches
    wanted = min(-(-len(batches) // parts) * parts, len(examples))
    # By cost, not by number of rows: every process waits for the one with the most to do. Eight
    # rows in halves of the whole cost gave 3, 3 and 2, and so two passes to each of two processes.
    low, high = 0, budget
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(filled(middle)) <= wanted else (middle, high)
    batches = filled(high)
    while len(batches) < wanted:
        longest = max(range(len(batches)), key=lambda index: len(batches[index]))
        rows = batches[longest]
        batches[longest : longest + 1] = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    return batches


def _filled(
    examples: Sequence[Example], order: Sequence[int], room: int, *, padded: bool, waste: float
) -> list[list[int]]:
    """Fills micro-batches of at most ``room`` tokens in order."""
    batches: list[list[int]] = []
    cost = _Cost(padded)
    for index in order:
        if (
            batches
            and cost.with_(examples[index]) <= room
            and cost.wasted_with(examples[index]) <= waste
        ):
            batches[-1].append(index)
        else:
            batches.append([index])
            cost = _Cost(padded)
        cost.add(examples[index])
    return batches


def computed(examples: Sequence[Example], budget: int, *, padded: bool = False) -> int:
    """Counts the tokens that a model computes for ``examples``: what is shared within a micro-batch
    once, padding too.
    """
    total = 0
    for group in cut(examples, budget, padded=padded):
        cost = _Cost(padded)
        for index in group:
            cost.add(examples[index])
        total += cost.tokens
    return total


def _longest(example: Example) -> int:
    return max(map(len, example))


def _beginning(example: Example) -> bytes:
    # Big-endian unsigned integers compare as bytes the way they compare as numbers.
    return example[0].ids_T.astype(">u4").tobytes()


class _Cost:
    """Tokens that a micro-batch computes; a forest's is exact while the examples come sorted."""

    def __init__(self, padded: bool) -> None:
        self.padded = padded
        self.tokens = 0
        self._rows = 0
        self._real = 0
        self._longest = (0, 0)
        """Tokens of the longest row, on the decoder's side and on the encoder's."""
        self._last: np.ndarray | None = None

    def with_(self, example: Example) -> int:
        """Returns the cost once ``example`` is added."""
        if self.padded:
            return (self._rows + len(example)) * sum(self._with(example))
        last, cost = self._last, self.tokens
        for tokens in example:
            cost += len(tokens) - (common_beginning(last, tokens.ids_T) if last is not None else 0)
            last = tokens.ids_T
        return cost

    def wasted_with(self, example: Example) -> int:
        """Counts the tokens of padding once ``example`` is added; a forest has none."""
        return self.with_(example) - self._real - sum(map(len, example)) if self.padded else 0

    def add(self, example: Example) -> None:
        """Counts ``example`` in."""
        self.tokens = self.with_(example)
        self._real += sum(map(len, example))
        self._rows += len(example)
        self._longest = self._with(example)
        self._last = example[-1].ids_T

    def _with(self, example: Example) -> tuple[int, int]:
        longest = max(len(tokens.ids_T) for tokens in example)
        source = max(len(tokens) - len(tokens.ids_T) for tokens in example)
        return max(self._longest[0], longest), max(self._longest[1], source)


def micro_batches(
    examples: Sequence[Example],
    budget: int,
    *,
    lay: Callable[[Batch], Batch],
    padded: bool,
    unit: str = "token",
    waste: float = math.inf,
    rank: int = 0,
    world: int = 1,
) -> list[Batch]:
    """Makes the micro-batches of process ``rank`` of ``world``, as many as any other process has.

    A process that has one fewer runs an unscored one: where models are spread over processes, a
    forward that one of them leaves out would make the others wait for ever.
    """
    parts = cut(examples, budget, padded=padded, parts=world, waste=waste)
    grown = [
        lay(Batch.grow([examples[index] for index in chosen], unit=unit))
        for chosen in parts[rank::world]
    ]
    # The shortest example, because nothing of it counts.
    if len(grown) < math.ceil(len(parts) / world):
        shortest = min(examples, key=lambda example: sum(map(len, example)))
        grown.append(lay(Batch.grow([shortest], unit=unit)).unscored())
    return grown
