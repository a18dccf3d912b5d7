"""From per-item records to values, paired differences and verdicts: every number of a proof follows
from items.jsonl here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.metrics import Metric, metric_class
from tunesmith.plain import JsonObject, Named
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
    "worth": "worth",
    "unseen": "unseen",
}
"""Where a metric's input stands in a line of items.jsonl."""

WINDOW = re.compile(r"/\d+$")
"""What the id of a window of a long text ends with."""

Items = Sequence[Named]
Key = tuple[str, str]
"""Contender and metric."""


def metric(name: str) -> Metric:
    """Returns the metric by its name in a proof; raises SpecError with a suggestion when there is
    none. What it grades by is not known here, and its grades stand in the items.
    """
    kind = metric_class(name)
    return kind(kind.Config.model_construct())


def given_by(item: Named, name: str) -> Named:
    """Returns what a metric looks at in a line of items.jsonl, by contender."""
    reads = metric_class(name).reads
    return item.get("grades", {}).get(name, {}) if reads == "grade" else item.get(FIELDS[reads], {})


def judge(
    items: Items,
    names: Sequence[str],
    *,
    seed: int,
    decides: Key | None = None,
    resamples: int = statistics.RESAMPLES,
    judged: str = TUNED,
) -> JsonObject:
    """Judges the contenders, by metric: ``contenders`` has their values; ``differences`` that of
    ``judged`` minus each other one, with interval, test and verdict.

    ``decides`` is the comparison, contender and metric, that was chosen before anything was scored:
    its p-value stands by itself. The other contenders by that metric are corrected among each
    other, and so are all comparisons by other metrics.
    """
    metrics = {name: metric(name) for name in names}
    given = _given(items, metrics)
    references = [item["reference"] for item in items]
    unit_I = units_of(items)
    tables: dict[Key, np.ndarray] = {}
    values: dict[Key, float] = {}
    for (who, name), predictions in given.items():
        metric_here = metrics[name]
        if metric_here.adds_up:
            tables[who, name] = _by_unit(metric_here.statistics(predictions, references), unit_I)
            values[who, name] = float(metric_here.value(tables[who, name].sum(0)))
        else:
            values[who, name] = metric_here.over(predictions, references)
    sums = statistics.resample(tables, seed=seed, resamples=resamples) if tables else {}
    drawn = {key: metrics[key[1]].value(table) for key, table in sums.items()}
    without = {
        key: statistics.without_each(table, metrics[key[1]].value) for key, table in tables.items()
    }
    for key, predictions in given.items():
        if metrics[key[1]].redrawn:
            redraw = _Redraw(metrics[key[1]], predictions, references, unit_I)
            drawn[key], without[key] = redraw.drawn(seed, resamples), redraw.without_each()
    size_U, graded = np.bincount(unit_I), _graded_sizes(tables, metrics)
    single = _single_scores(tables, metrics, judged)
    intervals = {
        key: statistics.interval(
            values[mine] - values[key],
            drawn[mine] - drawn[key],
            without[mine] - without[key],
            single=single.get(key),
            carried_by=statistics.effective_units(graded.get(key, size_U)),
        )
        for key in drawn
        if key[0] != judged and (mine := (judged, key[1])) in drawn
    }
    corrected = _corrected(intervals, decides)
    results: JsonObject = {"contenders": _by_contender(items, values), "differences": {}}
    for key, interval in intervals.items():
        (who, name), units = key, int((graded.get(key, size_U) > 0).sum())
        test = statistics.mcnemar(*single[key]) if key in single else None
        comparison = _compared(_possible(metrics[name], interval), test, units)
        comparison |= verdict(metrics[name], interval, test, units, corrected.get(key))
        results["differences"].setdefault(who, {})[name] = comparison
    return results


def _possible(one: Metric, interval: statistics.Interval) -> statistics.Interval:
    """Cuts the interval of a difference of shares where no share can be: Student's t goes beyond 1
    at few items.
    """
    if not (one.right_or_wrong and math.isfinite(interval.error)):
        return interval
    return replace(interval, low=max(interval.low, -1.0), high=min(interval.high, 1.0))


def _by_contender(items: Items, values: Mapping[Key, float]) -> dict[str, JsonObject]:
    return {
        who: {name: _finite(value) for (other, name), value in values.items() if other == who}
        for who in contenders(items)
    }


def _graded_sizes(
    tables: Mapping[Key, np.ndarray], metrics: Mapping[str, Metric]
) -> dict[Key, np.ndarray]:
    """Counts the items of each unit [U] that were graded, for metrics that may leave items out."""
    return {
        key: table_US[:, 1] for key, table_US in tables.items() if metrics[key[1]].reads == "grade"
    }


def _single_scores(
    tables: Mapping[Key, np.ndarray], metrics: Mapping[str, Metric], judged: str
) -> dict[Key, statistics.Scores]:
    """Returns the scores of ``judged`` and of each other contender by each metric that tells right
    from wrong, where each unit is one item.
    """
    scores_of = {}
    for (who, name), table_US in tables.items():
        mine = tables.get((judged, name))
        if who != judged and mine is not None and metrics[name].right_or_wrong:
            scores_of[who, name] = statistics.single_scores(mine, table_US)
    return {key: scores for key, scores in scores_of.items() if scores is not None}


def _corrected(
    intervals: Mapping[Key, statistics.Interval], decides: Key | None
) -> dict[Key, float]:
    raised: dict[Key, float] = {}
    for by_deciding in (True, False):
        family = {
            key: interval.p
            for key, interval in intervals.items()
            if key != decides and (decides is not None and key[1] == decides[1]) == by_deciding
        }
        raised |= statistics.holm(family)
    return raised


def _given(items: Items, metrics: Mapping[str, Metric]) -> dict[Key, list[Any]]:
    """Returns what each contender gave to each item, for the metrics that apply to all items."""
    given_to: dict[Key, list[Any]] = {}
    for name, metric_here in metrics.items():
        for contender in contenders(items):
            given = [given_by(item, name).get(contender) for item in items]
            graded = metric_here.reads == "grade" and given.count(None) < len(given)
            if graded or None not in given:
                given_to[contender, name] = given
    return given_to


def _by_unit(table_IS: np.ndarray, unit_I: np.ndarray) -> np.ndarray:
    table_US = np.zeros((unit_I.max() + 1, table_IS.shape[1]))
    # ``+=`` with an index that occurs twice adds once.
    np.add.at(table_US, unit_I, table_IS)
    return table_US


def unit_values(items: Items, name: str, who: str) -> tuple[float, np.ndarray]:
    """Returns a contender's metric over all items, and what each unit of items says it is [U], as
    pseudo-values of the jackknife; of a plain mean over single items these are the scores.
    """
    metric_asked = metric(name)
    unit_I = units_of(items)
    given = [given_by(item, name).get(who) for item in items]
    references = [item["reference"] for item in items]
    units = int(unit_I.max()) + 1
    if metric_asked.adds_up:
        table_US = _by_unit(metric_asked.statistics(given, references), unit_I)
        value = float(metric_asked.value(table_US.sum(0)))
        without_U = statistics.without_each(table_US, metric_asked.value)
    else:
        assert metric_asked.redrawn, "a metric that decides can be computed without an item"
        value = metric_asked.over(given, references)
        numbers = [float(prediction) for prediction in given if prediction is not None]
        without_U = _Redraw(metric_asked, numbers, references, unit_I).without_each()
    return value, units * value - (units - 1) * without_U


class _Redraw:
    """A metric that does not follow from sums, over draws of units with all their items."""

    def __init__(
        self,
        one: Metric,
        predictions: Sequence[float],
        references: Sequence[float],
        unit_I: np.ndarray,
    ) -> None:
        self.one, self.unit_I = one, unit_I
        self.predictions_I = np.array(predictions, float)
        self.references_I = np.array(references, float)
        self.units = int(unit_I.max()) + 1

    def _over(self, chosen_RI: np.ndarray) -> np.ndarray:
        return self.one.over_draws(self.predictions_I[chosen_RI], self.references_I[chosen_RI])

    def drawn(self, seed: int, resamples: int) -> np.ndarray:
        """Computes the metric [resamples] over random draws of units with replacement, the same
        draws for every contender.
        """
        generator = np.random.default_rng(seed)
        size = (resamples, self.units)
        if self.units == len(self.unit_I):
            drawn_RI = generator.integers(0, self.units, size)
            return np.concatenate(
                [self._over(drawn_RI[start : start + 500]) for start in range(0, resamples, 500)]
            )
        members = [np.flatnonzero(self.unit_I == unit) for unit in range(self.units)]
        each = [
            self._over(np.concatenate([members[unit] for unit in drawn_U])[None])
            for drawn_U in generator.integers(0, self.units, size)
        ]
        return np.concatenate(each)

    def without_each(self) -> np.ndarray:
        """Computes the metric [U] over all items except those of one unit."""
        each = [self._over(np.flatnonzero(self.unit_I != unit)[None]) for unit in range(self.units)]
        return np.concatenate(each)


def rows_of(items: Items) -> np.ndarray:
    """Numbers the row of each item: windows of one long text are one row."""
    return _numbered(WINDOW.sub("", item["id"]) for item in items)


def units_of(items: Items) -> np.ndarray:
    """Numbers the unit of each item, because what is not independent is drawn together: the rows of
    one group of ``data.split_by``, the windows of one long text.
    """
    return _numbered(
        ("group", item["group"]) if "group" in item else ("row", WINDOW.sub("", item["id"]))
        for item in items
    )


def _numbered(keys: Iterable[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def contenders(items: Items) -> list[str]:
    """Returns the contenders' names, in the order in which they were scored."""
    names: dict[str, None] = {}
    for item in items:
        for given in (*(item.get(field, {}) for field in FIELDS.values()), *graded_in(item)):
            names |= dict.fromkeys(given)
    return list(names)


def graded_in(item: Named) -> list[Named]:
    """Returns the grades of an item, by contender, of each metric that graded it."""
    return [*item.get("grades", {}).values()]


def item_scores(item: Named, metrics: Mapping[str, Metric]) -> dict[str, dict[str, float]]:
    """Computes each contender's score of one item by each metric."""
    by_contender: dict[str, dict[str, float]] = {}
    for name, metric_here in metrics.items():
        for contender, given in given_by(item, name).items():
            if given is not None:
                by_contender.setdefault(contender, {})[name] = metric_here.score(
                    given, item["reference"]
                )
    return by_contender


def _compared(
    interval: statistics.Interval, test: statistics.McNemar | None, units: int
) -> dict[str, object]:
    right_or_wrong = test is not None
    smallest = statistics.smallest_effect(interval.error, units, right_or_wrong=right_or_wrong)
    facts: dict[str, object] = {
        "difference": _finite(interval.difference),
        "low": _finite(interval.low),
        "high": _finite(interval.high),
        "interval": interval.by,
        "units": units,
        "smallest_effect": _finite(smallest),
        "items_needed": statistics.items_needed(interval.difference, units, smallest),
        "p_zero": interval.p,
    }
    if test:
        facts |= {
            "p": test.p,
            "only_tuned_right": test.only_first,
            "only_other_right": test.only_second,
        }
    return facts


def verdict(
    metric: Metric,
    interval: statistics.Interval,
    test: statistics.McNemar | None,
    units: int,
    corrected: float | None,
) -> JsonObject:
    """Decides the verdict and its reason: improved or worse where the interval excludes zero,
    neither items nor changed items are too few to say so, and, for a comparison other than the
    deciding one, the p-value ``corrected`` for the number of comparisons is under 5 %.
    """
    facts = {} if corrected is None else {"p_holm": corrected}
    word, why = "not shown", "apart"
    if units < statistics.FEWEST:
        why = "few"
    elif interval.low <= 0 <= interval.high:
        why = "holds_zero"
    elif test and test.only_first + test.only_second < statistics.DISCORDANT:
        why = "few_changed"
    elif corrected is not None and corrected >= 1 - statistics.LEVEL:
        why = "many_compared"
    else:
        word = "improved" if (interval.difference > 0) == metric.higher else "worse"
    return facts | {"verdict": word, "why": why}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
