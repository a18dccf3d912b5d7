"""The micro-batches of a step, or of an evaluation, that one process runs. No torch here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tunesmith.batches.batch import Batch
from tunesmith.batches.cuts import Example, cut


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
    cuts = cut(examples, budget, padded=padded, parts=world, waste=waste)
    grown = [
        lay(Batch.grow([examples[index] for index in chosen], unit=unit))
        for chosen in cuts[rank::world]
    ]
    if len(grown) < math.ceil(len(cuts) / world):
        shortest = min(examples, key=lambda example: sum(map(len, example)))
        grown.append(lay(Batch.grow([shortest], unit=unit)).unscored())
    return grown
