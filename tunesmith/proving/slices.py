"""Slices of the proof rows: where the tuned model is weaker than on the other rows, and where it
became better or worse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.plain import JsonObject, Named
from tunesmith.proving import statistics, unpaired
from tunesmith.proving.judge import metric, units_of, verdict
from tunesmith.proving.row_traits import Slice, slices_of, values_of

COLUMNS = 5
"""Sums of a unit: tuned's scores inside, rows inside, tuned's outside, rows outside, the rival's
inside.
"""


def compare_slices(
    lines: Sequence[Named], scores_2I: np.ndarray, name: str, *, seed: int
) -> JsonObject:
    """Compares the scores of tuned and of its rival [2, items] by metric ``name`` over slices.

    ``weaker`` is tuned's mean inside minus that on all other rows, ``gain`` is tuned minus rival
    inside. Each has its interval, and its word only after Holm's correction over all slices. A
    slice is compared where it, and what is outside, has FEWEST units. Of single items that are
    right or wrong, ``weaker`` needs Fisher's exact test too: where 98 % are right, the interval of
    20 of 200 alone would say it falsely in 4 %.
    """
    unit_I = units_of(lines)
    rows = [values_of(line) for line in lines]
    held = [(part, np.array([part.holds(row) for row in rows])) for part in slices_of(lines)]
    sizes = [_units(inside_I, unit_I) for _, inside_I in held]
    tested = [pair for pair, size in zip(held, sizes, strict=True) if size >= statistics.FEWEST]
    tables = {part: _sums(inside_I, scores_2I, unit_I) for part, inside_I in tested}
    gained = {part: _single_scores(scores_2I, inside_I, unit_I, name) for part, inside_I in tested}
    alone = metric(name).right_or_wrong and len(np.unique(unit_I)) == len(unit_I)
    drawn = statistics.resample(tables, seed=seed) if tables and not alone else {}
    weaker, gains, chance = {}, {}, {}
    for part, inside_I in tested:
        sides = (inside_I, ~inside_I)
        if alone:  # inside and outside are other items: nothing is paired
            right = [unpaired.counts(scores_2I[0, side_I]) for side_I in sides]
            weaker[part] = unpaired.share_interval(*right)
            chance[part] = unpaired.exact_p(*right)
            gains[part] = statistics.score_interval(*scores_2I[:, inside_I])
        else:
            carried_by = min(statistics.effective_units(np.bincount(unit_I[i])) for i in sides)
            drawn_from = (tables[part], drawn[part], carried_by)
            weaker[part] = _interval(_apart, *drawn_from)
            gains[part] = _interval(_gained, *drawn_from, single=gained[part])
    raised = statistics.holm(
        {part: max(interval.p, chance.get(part, 0.0)) for part, interval in weaker.items()}
    )
    raised_gains = statistics.holm({part: interval.p for part, interval in gains.items()})
    entries = []
    for part, inside_I in tested:
        sums = tables[part].sum(0)
        apart = _told(weaker[part]) | {"p_holm": raised[part]}
        if part in chance:
            apart["p"] = chance[part]
        apart["verdict"] = _weaker(weaker[part], raised[part], higher=metric(name).higher)
        size = len(np.unique(unit_I[inside_I]))
        gain = _gain(gains[part], gained[part], name, size, raised_gains[part])
        entry = {"by": part.by, "value": part.value, "low": part.low, "high": part.high}
        entry |= {"rows": int(inside_I.sum()), "tuned": float(sums[0] / sums[1])}
        entry |= {"elsewhere": float(sums[2] / sums[3]), "rival": float(sums[4] / sums[1])}
        entries.append(entry | {"weaker": apart, "gain": gain})
    bad = sum(_bad(interval, higher=metric(name).higher) for interval in weaker.values())
    return {
        "slices": sorted(entries, key=lambda each: each["weaker"]["p_zero"]),
        "too_small": len(held) - len(tested),
        "look_weaker": bad,
        "by_chance": len(tested) * (1 - statistics.LEVEL) / 2,
    }


def slice_of(entry: Named) -> Slice:
    """Returns the slice that an entry of the comparison is about."""
    return Slice(entry["by"], entry["value"], entry["low"], entry["high"])


def _units(inside_I: np.ndarray, unit_I: np.ndarray) -> int:
    """Counts the units of the smaller side."""
    return min(len(np.unique(unit_I[inside_I])), len(np.unique(unit_I[~inside_I])))


def _sums(inside_I: np.ndarray, scores_2I: np.ndarray, unit_I: np.ndarray) -> np.ndarray:
    tuned_I, rival_I = scores_2I
    outside_I = ~inside_I
    parts = (tuned_I * inside_I, inside_I, tuned_I * outside_I, outside_I, rival_I * inside_I)
    table_UC = np.zeros((unit_I.max() + 1, COLUMNS))
    np.add.at(table_UC, unit_I, np.stack(parts, axis=-1).astype(np.float64))
    return table_UC


def _single_scores(
    scores_2I: np.ndarray, inside_I: np.ndarray, unit_I: np.ndarray, name: str
) -> statistics.Scores | None:
    if not metric(name).right_or_wrong or len(np.unique(unit_I[inside_I])) < inside_I.sum():
        return None
    tuned, rival = scores_2I[:, inside_I]
    return tuned, rival


def _apart(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3]


def _gained(sums: np.ndarray) -> np.ndarray:
    return (sums[..., 0] - sums[..., 4]) / sums[..., 1]


def _interval(
    value: statistics.Values,
    table_UC: np.ndarray,
    drawn_RC: np.ndarray,
    carried_by: float,
    single: statistics.Scores | None = None,
) -> statistics.Interval:
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn_R = value(drawn_RC)
    without_U = statistics.without_each(table_UC, value)
    difference = float(value(table_UC.sum(0)))
    return statistics.interval(difference, drawn_R, without_U, single=single, carried_by=carried_by)


def _told(one: statistics.Interval) -> JsonObject:
    facts = {"difference": one.difference, "low": one.low, "high": one.high}
    return facts | {"interval": one.by, "p_zero": one.p}


def _bad(one: statistics.Interval, *, higher: bool) -> bool:
    return one.high < 0 if higher else one.low > 0


def _weaker(one: statistics.Interval, raised: float, *, higher: bool) -> str:
    proven = _bad(one, higher=higher) and raised < 1 - statistics.LEVEL
    return "weaker" if proven else "not shown"


def _gain(
    one: statistics.Interval,
    single: statistics.Scores | None,
    name: str,
    units: int,
    raised: float,
) -> JsonObject:
    test = statistics.mcnemar(*single) if single else None
    return _told(one) | verdict(metric(name), one, test, units, raised)
