"""How much each searched setting mattered: the share of the differences between trials that follows
it, with an interval and with what chance alone would give.

A functional analysis of variance (Hutter et al. 2014) of an additive model: of a range its place
and the square of that, of a list its choices, fitted to the ranks of the trials, so that one that
diverged is the worst and nothing more. Settings that matter only together are not told apart.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.plain import JsonObject
from tunesmith.searches.engines import Space

DRAWS = 400
"""Resamples of the trials, and shufflings of their scores."""
RIDGE = 0.05
"""Keeps the fit finite where few trials share a choice; the places go from 0 to 1."""
GRID = 33
LEAST = 8
"""Trials below which nothing is said."""


def importance(
    spaces: Mapping[str, Space], trials: Sequence[JsonObject], seed: int
) -> list[JsonObject]:
    """Returns for each setting its ``share``, ``low`` and ``high`` (95 %), and the share ``chance``
    that one of 20 shufflings reaches; the largest first. Nothing where the trials that were trained
    equally long are fewer than twice what is fitted.
    """
    whole = [trial for trial in trials if trial["values"].keys() == spaces.keys()]
    if not whole:
        return []
    length = Counter(trial["share"] for trial in whole).most_common(1)[0][0]
    used = [trial for trial in whole if trial["share"] == length]
    places = [
        np.stack([_terms(space, trial["values"][path]) for trial in used])
        for path, space in spaces.items()
    ]
    if len(used) < max(LEAST, 2 * (1 + sum(part.shape[1] for part in places))):
        return []
    grids = [_grid(space) for space in spaces.values()]
    ranks_N = _ranks([math.inf if trial["score"] is None else trial["score"] for trial in used])
    draw = np.random.default_rng(seed)
    shares_found = _shares(places, grids, ranks_N)
    again = np.array(
        [
            _shares([part[row] for part in places], grids, ranks_N[row])
            for row in draw.integers(len(used), size=(DRAWS, len(used)))
        ]
    )
    shuffled = np.array([_shares(places, grids, draw.permutation(ranks_N)) for _ in range(DRAWS)])
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    chance = np.quantile(shuffled, 0.95, axis=0)
    listed = [
        {
            "setting": path,
            "share": round(float(shares_found[n]), 3),
            "low": round(float(low[n]), 3),
            "high": round(float(high[n]), 3),
            "chance": round(float(chance[n]), 3),
            "trials": len(used),
        }
        for n, path in enumerate(spaces)
    ]
    return sorted(listed, key=lambda setting: -setting["share"])


def front(trials: Sequence[JsonObject]) -> list[str]:
    """Returns the runs, among those trained longest, that no other beats in score and in seconds,
    and in the loss of general texts where that was measured, at once (Pareto), the quickest first.
    """
    scored = [trial for trial in trials if trial["score"] is not None]
    longest = max((trial["share"] for trial in scored), default=0.0)
    last = [trial for trial in scored if trial["share"] == longest]
    aims = ["seconds", "score", *(["general"] if all("general" in trial for trial in last) else [])]
    placed = sorted(([trial[aim] for aim in aims], trial["run"]) for trial in last)
    kept: list[tuple[list[float], str]] = []
    # Who is beaten is beaten by one that stands before it, in the order of the first aims.
    for values, run in placed:
        if not any(all(map(operator.le, other, values)) for other, _ in kept):
            kept.append((values, run))
    return [run for _, run in kept]


def _shares(
    places: Sequence[np.ndarray], grids: Sequence[np.ndarray], ranks_N: np.ndarray
) -> np.ndarray:
    """Fits the additive model and returns the share of each setting."""
    terms_NK = np.concatenate(places, axis=1)
    middle_K = terms_NK.mean(0)
    centred_NK = terms_NK - middle_K
    ranks_N = ranks_N - ranks_N.mean()
    square_KK = centred_NK.T @ centred_NK + RIDGE * np.eye(centred_NK.shape[1])
    weights_K = np.linalg.solve(square_KK, centred_NK.T @ ranks_N)
    left = float(np.var(ranks_N - centred_NK @ weights_K))
    cuts = np.cumsum([part.shape[1] for part in places])[:-1]
    spread = np.array(
        [np.var(grid @ part) for grid, part in zip(grids, np.split(weights_K, cuts), strict=True)]
    )
    return spread / max(float(spread.sum()) + left, 1e-12)


def _terms(space: Space, value: object) -> np.ndarray:
    if space.choices:
        return np.array([float(choice == value) for choice in space.choices])
    number = float(value)  # type: ignore[arg-type]
    if space.kind == "log":
        at = math.log(number / space.low) / math.log(space.high / space.low)
    else:
        at = (number - space.low) / (space.high - space.low)
    return np.array([at, at * at])


def _grid(space: Space) -> np.ndarray:
    if space.choices:
        return np.eye(len(space.choices))
    at = np.linspace(0.0, 1.0, GRID)
    return np.stack([at, at * at], axis=1)


def _ranks(scores: Sequence[float]) -> np.ndarray:
    """Returns the ranks of the scores from 0 to 1, the same for equal ones."""
    from scipy.stats import rankdata

    return (rankdata(scores) - 1) / max(len(scores) - 1, 1)
