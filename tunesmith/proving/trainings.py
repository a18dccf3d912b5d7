"""How far a difference varies from training to training and from item to item, and what holds over
both: crossed random effects, d_ku = mean + training_k + item_u + rest_ku, by expected mean squares
(Searle, Casella and McCulloch 1992, chapter 4; degrees of freedom: Satterthwaite 1946). A metric
goes in as its jackknife pseudo-values (Efron and Tibshirani 1993, section 11.5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.plain import JsonObject, Named
from tunesmith.proving.judge import TUNED, given_by, metric, unit_values, verdict
from tunesmith.proving.metric_values import interval_kind, interval_shown, shown, spread_shown
from tunesmith.proving.statistics import LEVEL, Interval
from tunesmith.words import metric_name, say

Lines = Sequence[Named]


@dataclass(frozen=True)
class Crossed:
    """A mean over K trainings and U units of items, its interval over both, and standard
    deviations: of trainings, of units, and of what is left.
    """

    interval: Interval
    training: float
    unit: float
    rest: float
    from_trainings: float
    """Share of the mean's variance that comes from the few trainings, the rest being from items."""


def crossed(values_KU: np.ndarray) -> Crossed:
    """Separates the spread of values [trainings, units], of which there are two of each or more.

    The variance of the mean is never taken as less than one of the two spreads alone gives, and
    each bound is the farther of this interval and Student's t over the trainings' means: with 2
    trainings that differ, the first alone holds the truth only 87 to 91 times in 100, with 3 of
    them 92 to 93; together they hold it 94 to 99 (``benchmarks/coverage.py --trainings``).
    """
    from scipy.special import stdtr, stdtrit

    trainings, units = values_KU.shape
    mean = float(values_KU.mean())
    by_training_K = values_KU.mean(1)
    by_unit_U = values_KU.mean(0)
    rest_KU = values_KU - by_training_K[:, None] - by_unit_U[None] + mean
    squares = {
        "training": units * float(((by_training_K - mean) ** 2).sum()) / (trainings - 1),
        "unit": trainings * float(((by_unit_U - mean) ** 2).sum()) / (units - 1),
        "rest": float((rest_KU**2).sum()) / ((trainings - 1) * (units - 1)),
    }
    freedom = {"training": trainings - 1, "unit": units - 1}
    freedom["rest"] = freedom["training"] * freedom["unit"]
    both = squares["training"] + squares["unit"] - squares["rest"]
    alone = max(("training", "unit"), key=lambda name: squares[name])
    total = squares[alone]
    free = float(freedom[alone])
    if both >= total > 0:
        total = both
        free = both**2 / sum(squares[name] ** 2 / freedom[name] for name in squares)
    error = math.sqrt(total / (trainings * units))
    ways = [(free, error), (freedom["training"], math.sqrt(squares["training"] / values_KU.size))]
    reach = max(float(stdtrit(df, (1 + LEVEL) / 2)) * size for df, size in ways)
    tests = [2 * float(stdtr(df, -abs(mean) / size)) for df, size in ways if size]
    p = max(tests) if tests else float(mean == 0)
    above = {name: max(0.0, squares[name] - squares["rest"]) for name in ("training", "unit")}
    explained = above["training"] + above["unit"]
    return Crossed(
        Interval(mean, mean - reach, mean + reach, error, p, "t"),
        math.sqrt(above["training"] / units),
        math.sqrt(above["unit"] / trainings),
        math.sqrt(squares["rest"]),
        above["training"] / explained if explained else 0.0,
    )


def over_trainings(by_seed: Mapping[int, Lines], name: str, against: str) -> JsonObject:
    """Compares tuned with the contender ``against`` by a metric over trainings by several seeds, on
    the items that all of them were asked. Every number follows from the lines of their items.jsonl.
    """
    shared = set.intersection(*(_scored(lines, name) for lines in by_seed.values()))
    asked = {
        seed: [line for line in lines if line["id"] in shared] for seed, lines in by_seed.items()
    }
    values: dict[int, float] = {}
    rows = []
    for seed, lines in asked.items():
        values[seed], tuned_U = unit_values(lines, name, TUNED)
        _, other_U = unit_values(lines, name, against)
        rows.append(tuned_U - other_U)
    values_KU = np.array(rows)
    spread = crossed(values_KU[:, np.isfinite(values_KU).all(0)])
    interval = spread.interval
    units = values_KU.shape[1]
    return {
        "metric": name,
        "against": against,
        "items": len(shared),
        "units": units,
        "values": {str(seed): value for seed, value in values.items()},
        "difference": interval.difference,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.by,
        "p_zero": interval.p,
        "between_trainings": spread.training,
        "between_items": spread.unit,
        "rest": spread.rest,
        "from_trainings": spread.from_trainings,
        **verdict(metric(name), interval, None, units, None),
    }


def _scored(lines: Lines, name: str) -> set[str]:
    """Returns the ids of the lines that the metric says something of."""
    return {line["id"] for line in lines if given_by(line, name).get(TUNED) is not None}


def training_lines(trainings: Named | None, speak: Callable[..., str] = say) -> list[str]:
    """Returns what is said of several trainings; nothing of a single one."""
    if not trainings:
        return []
    name = trainings["metric"]
    spread = {
        key: spread_shown(name, trainings[key], speak)
        for key in ("between_trainings", "between_items")
    }
    values = ", ".join(
        f"{seed}: {shown(name, value)}" for seed, value in trainings["values"].items()
    )
    names = {"metric": metric_name(name), "count": len(trainings["values"])}
    word = speak(f"prove.word_{trainings['verdict'].replace(' ', '_')}")
    interval = interval_shown(name, trainings) + interval_kind(trainings, speak)
    share = round(100 * trainings["from_trainings"])
    rival = speak(f"report.rival_{trainings['against']}")
    return [
        speak("trainings.values", values=values, **names),
        speak("trainings.difference", word=word, rival=rival, interval=interval),
        speak("trainings.spread", share=share, items=100 - share, **spread),
    ]
