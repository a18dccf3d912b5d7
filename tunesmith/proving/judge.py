"""From per-item records to values, paired differences and verdicts: every number of a proof follows
from items.jsonl here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.metrics import METRICS, Metric
from tunesmith.proving import statistics

TUNED = "tuned"
FIELDS = {
    "text": "predictions",
    "choice": "choices",
    "nll": "nll",
    "options": "options",
    "number": "choices",
    "rank": "choices",
    "pair": "pairs",
    "reward": "rewards",
    "judged": "rewards",
    "spans": "choices",
}
"""Where a metric's input stands in a line of items.jsonl."""

WINDOW = re.compile(r"/\d+$")
"""What the id of a window of a long text ends with."""

Items = Sequence[Mapping[str, Any]]


def metric(name: str) -> Metric:
    """The metric by name; SpecError with a suggestion when there is none."""
    return METRICS.get(name)(METRICS.get(name).Config())


def judge(
    items: Items, names: Sequence[str], *, seed: int, resamples: int = statistics.RESAMPLES
) -> dict[str, Any]:
    """``contenders``: values; ``differences``: tuned minus each other one, with interval, test and
    verdict; by metric.
    """
    metrics = {name: metric(name) for name in names}
    row_I = rows_of(items)
    tables: dict[tuple[str, str], np.ndarray] = {}
    alone: dict[tuple[str, str], float] = {}
    redrawn: dict[tuple[str, str], np.ndarray] = {}
    for name, one in metrics.items():
        for contender in contenders(items):
            given = [item.get(FIELDS[one.reads], {}).get(contender) for item in items]
            if None in given:
                continue
            if not one.adds_up:
                alone[contender, name] = one.over(given, [item["reference"] for item in items])
                if one.redrawn:
                    redrawn[contender, name] = _redrawn(
                        one, given, items, seed=seed, resamples=resamples
                    )
            else:
                table = one.statistics(given, [item["reference"] for item in items])
                tables[contender, name] = np.zeros((row_I.max() + 1, table.shape[1]))
                np.add.at(tables[contender, name], row_I, table)
    values = {key: float(metrics[key[1]].value(table.sum(0))) for key, table in tables.items()}
    sums = statistics.resample(tables, seed=seed, resamples=resamples)
    spread = {key: metrics[key[1]].value(drawn) for key, drawn in sums.items()}
    found: dict[str, Any] = {
        "contenders": {name: {} for name in contenders(items)},
        "differences": {},
    }
    for contender, name in tables:
        found["contenders"][contender][name] = _finite(values[contender, name])
        mine, theirs = (TUNED, name), (contender, name)
        if contender == TUNED or mine not in tables:
            continue
        interval = statistics.interval(values[mine] - values[theirs], spread[mine] - spread[theirs])
        compared = _compared(metrics[name], interval, tables[mine], tables[theirs])
        found["differences"].setdefault(contender, {})[name] = compared
    for (contender, name), value in alone.items():
        found["contenders"][contender][name] = _finite(value)
        mine, theirs = (TUNED, name), (contender, name)
        if theirs in redrawn and mine in redrawn and contender != TUNED:
            interval = statistics.interval(alone[mine] - value, redrawn[mine] - redrawn[theirs])
            compared = _compared(metrics[name], interval, row_I[:, None], row_I[:, None])
            found["differences"].setdefault(contender, {})[name] = compared
    return found


def _redrawn(
    one: Metric, given: Sequence[float], items: Items, *, seed: int, resamples: int
) -> np.ndarray:
    """The metric over the same random draws of items with replacement, whoever answered:
    [resamples].
    """
    predictions, references = (
        np.array(given, float),
        np.array([item["reference"] for item in items], float),
    )
    generator, parts = np.random.default_rng(seed), []
    for start in range(0, resamples, 500):
        drawn_RI = generator.integers(0, len(items), (min(500, resamples - start), len(items)))
        parts.append(one.over_draws(predictions[drawn_RI], references[drawn_RI]))
    return np.concatenate(parts)


def rows_of(items: Items) -> np.ndarray:
    """For each item the number of its row. Windows of one long text are one row: they are not
    independent of each other.
    """
    rows: dict[str, int] = {}
    return np.array([rows.setdefault(WINDOW.sub("", item["id"]), len(rows)) for item in items])


def contenders(items: Items) -> list[str]:
    """Their names, in the order in which they were scored."""
    return list(
        dict.fromkeys(
            name for item in items for field in FIELDS.values() for name in item.get(field, ())
        )
    )


def item_scores(
    item: Mapping[str, Any], metrics: Mapping[str, Metric]
) -> dict[str, dict[str, float]]:
    """Each contender's score of one item by each metric."""
    found: dict[str, dict[str, float]] = {}
    for name, one in metrics.items():
        for contender, given in item.get(FIELDS[one.reads], {}).items():
            found.setdefault(contender, {})[name] = one.score(given, item["reference"])
    return found


def _compared(
    one: Metric, interval: statistics.Interval, mine: np.ndarray, theirs: np.ndarray
) -> dict[str, Any]:
    items = len(mine)
    test = statistics.mcnemar(mine[:, 0], theirs[:, 0]) if one.right_or_wrong else None
    smallest = statistics.smallest_effect(interval.error, items, right_or_wrong=one.right_or_wrong)
    found: dict[str, Any] = {
        "difference": _finite(interval.difference),
        "low": _finite(interval.low),
        "high": _finite(interval.high),
        "smallest_effect": _finite(smallest),
        "items_needed": statistics.items_needed(interval.difference, items, smallest),
        "verdict": verdict(one, interval, test, items),
    }
    if test:
        found |= {
            "p": test.p,
            "only_tuned_right": test.only_first,
            "only_other_right": test.only_second,
        }
    return found


def verdict(
    one: Metric, interval: statistics.Interval, test: statistics.McNemar | None, items: int
) -> str:
    """Improved or worse where the interval excludes zero, and neither items nor changed items are
    too few to say so.
    """
    excludes = interval.low > 0 or interval.high < 0
    few = items < statistics.FEWEST or (
        test is not None and test.only_first + test.only_second < statistics.DISCORDANT
    )
    if few or not excludes:
        return "not shown"
    return "improved" if (interval.difference > 0) == one.higher else "worse"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
