"""What the proofs of a curve's points say together: values with intervals, the law, and the rows
that a gain would take.

Uncertainty is resampled: the proof rows, the same ones for every point, and the seeds of each size
(a bootstrap of two levels, Efron and Tibshirani 1993, chapter 8).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.curves.law import Law, fit
from tunesmith.metrics import Metric
from tunesmith.plain import JsonObject
from tunesmith.proving.judge import FIELDS, TUNED, contenders, metric, units_of
from tunesmith.proving.statistics import resample

RESAMPLES = 2_000
"""Fewer than the 10 000 of a proof, because a law is fitted to every one of them."""
FARTHEST = 10
"""How many times the rows that there are an answer may reach; beyond that it is only "more"."""
STEPS = 24
"""Places at which the law is written down, for the picture."""


@dataclass(frozen=True)
class Point:
    """A proved training: how many rows, by which seed, the deciding metric, and the items that it
    was proved on.
    """

    rows: int
    seed: int
    primary: str
    values: Mapping[str, float | None]
    """The values of the tuned model by metric."""
    items: Sequence[JsonObject]


def measured(points: Sequence[Point], gain: float | None, *, seed: int) -> JsonObject:
    """Returns the curve: by size the values with 95 % intervals, those of the rivals, the law, and
    what ``gain`` would take.
    """
    last = max(points, key=lambda point: (point.rows, -point.seed))
    name = _shared(points, last)
    measure = metric(name)
    usual_gain = 1.0 if name in ("bleu", "chrf") else 0.01
    wanted = usual_gain if gain is None else gain
    common = set.intersection(*({item["id"] for item in point.items} for point in points))
    items = {
        (point.rows, point.seed): [item for item in point.items if item["id"] in common]
        for point in points
    }
    sizes = sorted({point.rows for point in points})
    drawn_SR = _drawn(measure, items, seed)
    rows_P = np.array(sizes)
    plain_P = np.array([_mean(measure, items, size, TUNED) for size in sizes])
    values_RP = np.stack([_with_seeds(drawn_SR, size, seed) for size in sizes], axis=-1)
    best = None if measure.higher else 0.0
    if measure.right_or_wrong:
        best = 1.0
    law = fit(rows_P, plain_P[None], higher=measure.higher, best=best)
    laws = fit(rows_P, values_RP, higher=measure.higher, best=best)
    return {
        "metric": name,
        "higher": measure.higher,
        "items": len(common),
        "seeds": len({point.seed for point in points}),
        "points": [
            {
                "rows": size,
                "value": float(plain_P[index]),
                **_interval(values_RP[:, index]),
                "seeds": [_value(measure, items[key], TUNED) for key in items if key[0] == size],
                "rivals": _rivals(measure, items, size),
            }
            for index, size in enumerate(sizes)
        ],
        "law": {
            "limit": float(law.limit_R[0]),
            "scale": float(law.scale_R[0]),
            "power": float(law.power_R[0]),
            "limits": _interval(laws.limit_R),
            "line": _line(law, laws, sizes),
        },
        "gain": _gain(law, laws, sizes[-1], wanted),
    }


def _shared(points: Sequence[Point], last: Point) -> str:
    """Returns the metric that decides at the largest point; where a smaller one lacks it (it saw
    too few rows to know the options), the first that all have.
    """
    names = dict.fromkeys([last.primary, *last.values])
    able = [
        name
        for name in names
        if metric(name).adds_up and all(point.values.get(name) is not None for point in points)
    ]
    return able[0]


def _value(one: Metric, items: Sequence[JsonObject], who: str) -> float:
    given = [item[FIELDS[one.reads]][who] for item in items]
    return one.over(given, [item["reference"] for item in items])


def _mean(
    one: Metric, items: Mapping[tuple[int, int], Sequence[JsonObject]], size: int, who: str
) -> float:
    return float(np.mean([_value(one, items[key], who) for key in items if key[0] == size]))


def _drawn(
    one: Metric, items: Mapping[tuple[int, int], Sequence[JsonObject]], seed: int
) -> dict[tuple[int, int], np.ndarray]:
    """Returns the values of each training over the same draws of the proof rows [R]."""
    tables: dict[tuple[int, int], np.ndarray] = {}
    for key, some in items.items():
        unit_I = units_of(some)
        given = [item[FIELDS[one.reads]][TUNED] for item in some]
        rows_IS = one.statistics(given, [item["reference"] for item in some])
        table_US = np.zeros((unit_I.max() + 1, rows_IS.shape[1]))
        np.add.at(table_US, unit_I, rows_IS)
        tables[key] = table_US
    sums = resample(tables, seed=seed, resamples=RESAMPLES)
    return {key: one.value(sums_RS) for key, sums_RS in sums.items()}


def _with_seeds(drawn: Mapping[tuple[int, int], np.ndarray], size: int, seed: int) -> np.ndarray:
    """Returns the mean over seeds, drawn with replacement too, of one size [R]; few draws spread
    too little, by the share that is put right here.
    """
    values_RS = np.stack([drawn[key] for key in drawn if key[0] == size], axis=-1)
    resamples, seeds = values_RS.shape
    if seeds == 1:
        return values_RS[:, 0]
    chosen_RS = np.random.default_rng([seed, size]).integers(seeds, size=(resamples, seeds))
    mean_R = values_RS.mean(-1)
    redrawn_R = np.take_along_axis(values_RS, chosen_RS, axis=-1).mean(-1)
    return mean_R + math.sqrt(seeds / (seeds - 1)) * (redrawn_R - mean_R)


def _interval(values_R: np.ndarray) -> JsonObject:
    low, high = np.quantile(values_R, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def _rivals(
    one: Metric, items: Mapping[tuple[int, int], Sequence[JsonObject]], size: int
) -> JsonObject:
    """Returns the means of the contenders that were asked at every seed of this size."""
    some = [items[key] for key in items if key[0] == size]
    names = [
        name
        for name in contenders(some[0])
        if name != TUNED
        and all(name in item.get(FIELDS[one.reads], {}) for each in some for item in each)
    ]
    return {name: _mean(one, items, size, name) for name in names}


def _line(law: Law, laws: Law, sizes: Sequence[int]) -> list[JsonObject]:
    """Returns the law from the smallest size to twice the largest, with its 95 % band."""
    places = np.geomspace(sizes[0], 2 * sizes[-1], STEPS).round().astype(int)
    return [
        {"rows": int(rows), "value": float(law.at(rows)[0]), **_interval(laws.at(rows))}
        for rows in dict.fromkeys(places.tolist())
    ]


def _gain(law: Law, laws: Law, rows: int, wanted: float) -> JsonObject:
    """Returns how many rows more the gain would take; None for more than is worth saying, and for
    the share of the draws whose law never reaches it.
    """
    up = wanted if law.higher else -wanted
    needed = float(law.rows_for(law.at(rows) + up)[0])
    needed_R = laws.rows_for(laws.at(rows) + up)
    # By rank, because between an infinite draw and a finite one lies no number.
    low, high = np.quantile(needed_R, [0.025, 0.975], method="nearest")
    return {
        "gain": wanted,
        "from": float(law.at(rows)[0]),
        "rows": rows,
        "farthest": FARTHEST * rows,
        "more": _more(needed, rows),
        "low": _more(float(low), rows),
        "high": _more(float(high), rows),
        "never": float(np.isinf(needed_R).mean()),
    }


def _more(needed: float, rows: int) -> int | None:
    return None if needed > FARTHEST * rows else max(1, math.ceil(needed - rows))
