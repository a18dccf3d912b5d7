"""Rungs of a ladder: all settings are trained equally long, and the better ones climb."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunesmith.searches.engines import Done, Trial


def climb(
    settings: Sequence[Mapping[str, Any]],
    shares: Sequence[float],
    done: Sequence[Done],
    keep: Callable[[int], int],
) -> tuple[list[Trial], int]:
    """Returns the trainings of the next rung, and how many of ``done`` are of the rungs below.

    ``shares`` are those of the whole training, by rung; of a rung of ``count`` settings the best
    ``keep(count)`` climb, never one without a finite score.
    """
    left = list(settings)
    before = 0
    for share in shares:
        if len(done) == before:
            return [Trial(values, share) for values in left], before
        rung = done[before : before + len(left)]
        before += len(left)
        # Of equal scores the first climbs. Those that began are counted: what broke has lost.
        finite = [index for index in range(len(left)) if math.isfinite(rung[index].score)]
        order = sorted(finite, key=lambda index: rung[index].score)
        left = [left[index] for index in sorted(order[: keep(len(left))])]
    return [], before
