"""How surprised a base is by each row, and which rows are left out for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt

from tunesmith.errors import Problem, SpecError
from tunesmith.settings.spec import Spec
from tunesmith.words import say

Scorer = Callable[[Sequence[str]], list[float]]
"""Gives each text its perplexity a token; NaN where it has fewer than two."""


class Perplexity(Spec):
    """Leave out rows by their perplexity under a base, e to the mean loss of a token: the lowest
    are often copied or boilerplate, the highest broken, or a dialect or rare knowledge. Look at
    some in the account before you believe it.
    """

    model: str
    """The base: a model's folder or name."""
    least: Annotated[float, Gt(1)] | None = None
    """Leave out rows with a lower perplexity."""
    most: Annotated[float, Gt(1)] | None = None
    """Leave out rows with a higher perplexity."""
    lowest: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Leave out this share of the rows, those with the lowest perplexity."""
    highest: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Leave out this share of the rows, those with the highest."""


def bounds(asked: Perplexity, values: np.ndarray) -> tuple[float, float]:
    """Returns the perplexities between which rows stay: those that are asked for, narrowed by the
    shares of all ``values``; SpecError where nothing is asked for, or nothing lies between.
    """
    if not (asked.least or asked.most or asked.lowest or asked.highest):
        raise SpecError(Problem("perplexity", say("transforms.perplexity_bounds")))
    low = asked.least or 0.0
    high = asked.most or math.inf
    finite = values[np.isfinite(values)]
    if len(finite):
        low = max(low, float(np.quantile(finite, asked.lowest)) if asked.lowest else 0.0)
        high = min(high, float(np.quantile(finite, 1 - asked.highest)) if asked.highest else high)
    if low > high:
        fields = {"low": f"{low:.4g}", "high": f"{high:.4g}"}
        raise SpecError(Problem("perplexity", say("transforms.perplexity_crossed", **fields)))
    return low, high
