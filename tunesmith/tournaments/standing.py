"""From the files of the pieces to the table: places by the watched rows, and what the proof rows
say, with paired intervals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from tunesmith.plain import JsonObject, Named
from tunesmith.proving import statistics
from tunesmith.proving.judge import FIELDS, TUNED, metric, rows_of
from tunesmith.tournaments.folder import Scored
from tunesmith.tournaments.setup import Entry, Field
from tunesmith.trials.files import got
from tunesmith.trials.training import badness

BASE = "base"


def runs_of(entry: Entry) -> list[Scored]:
    """Returns the entry's whole trainings that were scored, the first seed first."""
    places = [Scored(path) for path in entry.corner.path.glob("rate-*-seed-*")]
    return sorted(
        (scored for scored in places if scored.score.is_file()),
        key=lambda scored: got(scored.trained)["seed"],
    )


def rate_of(entry: Entry) -> float:
    """Returns the rate of an entry's whole trainings."""
    return float(got(runs_of(entry)[0].trained)["rate"])


def ranked(entries: Sequence[Entry], field: Field, *, seeds: bool = False) -> list[Entry]:
    """Returns the entries that have a score, best first, by the first seed; with ``seeds`` those of
    several first, by their mean.
    """

    name = field.run.train.keep.best_by

    def place(entry: Entry) -> tuple[bool, float]:
        runs = runs_of(entry)[: None if seeds else 1]
        mean = sum(badness(got(run.score)["watch"], name) for run in runs) / len(runs)
        return len(runs) == 1 and seeds and field.asked.places > 0, mean

    return sorted((entry for entry in entries if runs_of(entry)), key=place)


def standing(field: Field) -> JsonObject:
    """Returns everything that the table says. Scores of several seeds are averaged row by row, and
    so are their intervals.
    """
    entries = ranked([entry for entry in field.entries if entry.resolved], field, seeds=True)
    tables = {BASE: table([field.board.base], BASE, field.primary)}
    tables |= {entry.label: table(runs_of(entry), TUNED, field.primary) for entry in entries}
    compared = compare(tables, field.primary, seed=field.run.train.seed)
    first = entries[0].label if entries else None
    rows = [_row(entry, field) for entry in entries]
    for row in rows:
        row["quality"] = values(tables[row["method"]], field.primary)
        row["minus_base"] = compared[row["method"], BASE]
        row["minus_first"] = compared.get((row["method"], str(first)))
    base = got(field.board.base.score)
    couples = combinations([row["method"] for row in rows], 2)
    pairs = [
        {"first": first, "second": second, **compared[first, second]} for first, second in couples
    ]
    return {
        "model": field.run.model.path,
        "data": field.run.data.model_dump(mode="json")["path"],
        "rows": {
            "train": len(field.prepared.train),
            "watch": len(field.prepared.watch),
            "proof": len(tables[BASE]),
        },
        "fingerprint": field.prepared.fingerprint,
        "steps": entries[0].facts["steps"] if entries else None,
        "tokens": entries[0].facts["tokens"] if entries else None,
        "threads": field.first.run.train.machine.threads,
        "settings": field.asked.model_dump(mode="json", exclude={"methods"}),
        "chosen_by": field.run.train.keep.best_by,
        "primary": field.primary,
        "base": _base(base, tables[BASE], field),
        "methods": rows,
        "left_out": _left_out(field),
        "pairs": pairs,
        "resamples": statistics.RESAMPLES,
        "level": statistics.LEVEL,
    }


def _base(score: Named, table_IS: np.ndarray, made: Field) -> dict[str, object]:
    return {
        "watch": score["watch"],
        "quality": values(table_IS, made.primary),
        "nll": values(table([made.board.base], BASE, "nll"), "nll"),
        "speed": score["speed"],
        "general_nll": _nll(score["general"]),
    }


def _left_out(made: Field) -> list[dict[str, str]]:
    left_out = [
        {"method": entry.label, "kind": "refused", "reason": entry.refused}
        for entry in made.entries
        if entry.refused
    ]
    for entry in made.entries:
        # Of the method, or of another seed alone.
        for path in [entry.corner.failed, *sorted(entry.corner.path.glob("rate-*/failed.json"))]:
            if path.is_file():
                left_out.append(
                    {"method": entry.label, "kind": "failed", "reason": got(path)["reason"]}
                )
    return left_out


def _row(entry: Entry, made: Field) -> JsonObject:
    """Returns what the files of one entry say, without the comparisons."""
    runs = runs_of(entry)
    trained = [got(run.trained) for run in runs]
    scores = [got(run.score) for run in runs]
    base = got(made.board.base.score)
    memory = [training["memory_gib"] for training in trained if training["memory_gib"] is not None]
    return {
        "method": entry.label,
        "settings": entry.method.model_dump(mode="json"),
        "folder": str(runs[0].path.relative_to(made.board.path)),
        "trainable": entry.facts["trainable"],
        "parameters": entry.facts["parameters"],
        "rate": trained[0]["rate"],
        "seeds": [training["seed"] for training in trained],
        "watch": {
            name: float(np.mean([scores_of_run["watch"][name] for scores_of_run in scores]))
            for name in scores[0]["watch"]
        },
        "each_quality": [values(table([run], TUNED, made.primary), made.primary) for run in runs],
        "nll": values(table(runs, TUNED, "nll"), "nll"),
        "seconds": round(float(np.mean([training["seconds"] for training in trained])), 3),
        "memory_gib": max(memory, default=None),
        "bytes": trained[0]["bytes"],
        "speed": scores[0]["speed"],
        "speed_merged": scores[0]["speed_merged"],
        "general": _forgot(scores[0]["general"], base["general"], made.run.train.seed),
    }


def items(place: Scored) -> list[JsonObject]:
    """Reads the scores by proof row."""
    return [json.loads(line) for line in place.items.read_text(encoding="utf-8").splitlines()]


def table(places: Sequence[Scored], who: str, name: str) -> np.ndarray:
    """Returns the metric's statistics by row [I, S], the mean over several models; windows of one
    long text are one row.
    """
    measure = metric(name)
    tables = []
    for scored in places:
        lines = items(scored)
        row_I = rows_of(lines)
        each = measure.statistics(
            [line[FIELDS[measure.reads]][who] for line in lines],
            [line["reference"] for line in lines],
        )
        table_IS = np.zeros((row_I.max() + 1, each.shape[1]))
        np.add.at(table_IS, row_I, each)
        tables.append(table_IS)
    return np.mean(tables, axis=0)


def values(table_IS: np.ndarray, name: str) -> float:
    """Computes the metric over all rows."""
    return float(metric(name).value(table_IS.sum(0)))


def compare(
    tables: Mapping[str, np.ndarray], name: str, *, seed: int
) -> dict[tuple[str, str], JsonObject]:
    """Compares every two contenders: the first minus the second, its interval over the same
    resampled rows, and the verdict.
    """
    measure = metric(name)
    spread = {
        who: measure.value(sums) for who, sums in statistics.resample(tables, seed=seed).items()
    }
    count = len(next(iter(tables.values())))
    without = {who: statistics.without_each(table, measure.value) for who, table in tables.items()}
    compared: dict[tuple[str, str], dict[str, object]] = {}
    for first in tables:
        for second in tables:
            if first != second:
                difference = values(tables[first], name) - values(tables[second], name)
                scores = statistics.single_scores(tables[first], tables[second])
                compared[first, second] = _told(
                    statistics.interval(
                        difference,
                        spread[first] - spread[second],
                        without[first] - without[second],
                        single=scores if measure.right_or_wrong else None,
                    ),
                    count,
                    measure.higher,
                )
    return compared


def _told(interval: statistics.Interval, count: int, higher: bool) -> JsonObject:
    excludes = interval.low > 0 or interval.high < 0
    better = (interval.difference > 0) == higher
    verdict = "within the noise"
    if excludes and count >= statistics.FEWEST:
        verdict = "better" if better else "worse"
    return {
        "difference": interval.difference,
        "low": interval.low if np.isfinite(interval.low) else None,
        "high": interval.high if np.isfinite(interval.high) else None,
        "verdict": verdict,
    }


def _nll(rows: Sequence[Sequence[float]]) -> float | None:
    """Computes nats a token over rows of summed negative log-likelihood and weight."""
    total, weight = np.sum(rows, axis=0) if len(rows) else (0.0, 0.0)
    return float(total / weight) if weight else None


def _forgot(
    tuned: Sequence[Sequence[float]], base: Sequence[Sequence[float]], seed: int
) -> dict[str, object] | None:
    """Computes by how much general text became less likely (nats a token), with its interval."""
    if not len(tuned):
        return None
    difference = compare({TUNED: np.asarray(tuned), BASE: np.asarray(base)}, "nll", seed=seed)[
        TUNED, BASE
    ]
    return {"nll": _nll(tuned), **difference}
