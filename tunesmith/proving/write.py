"""From records to a proof: they are judged, and items.jsonl and proof.json are written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.plain import JsonObject
from tunesmith.proving.judge import judge, metric, rows_of
from tunesmith.proving.proof import Proof
from tunesmith.proving.statistics import LEVEL, RESAMPLES
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.run_folder import RunFolder

COLLECT = "collect.jsonl"
NOTHING: JsonObject = {
    "stopped": {},
    "seconds": {},
    "generation": None,
    "options": [],
    "prompt": None,
    "shots": [],
    "shots_wanted": 0,
}
"""What a proof without written answers has to say of them."""


def _model(folder: RunFolder, run: Run) -> JsonObject:
    """Returns the step whose weights were proved, the last step, and the step that the watched rows
    found best.
    """
    facts, best = (
        folder.read(folder_of_model / "tunesmith.json") or {}
        for folder_of_model in (folder.model, folder.best)
    )
    last = max((line["step"] for line in folder.steps()), default=None)
    return {
        "step": facts.get("step"),
        "last": last,
        "best": best.get("step"),
        "best_by": run.train.keep.best_by,
    }


def _plain(value: object) -> Any:
    """Returns ``value`` as JSON can hold it: None in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def conclude(
    folder: RunFolder,
    run: Run,
    records: list[JsonObject],
    names: list[str],
    primary: str,
    *,
    against: str = "base",
    place: Path | None = None,
    suite_lines: Sequence[JsonObject] = (),
    to_collect: Sequence[JsonObject] = (),
    **more: Any,
) -> Proof:
    """Judges the records, ``against`` a contender, and writes items.jsonl and proof.json to
    ``place``, the run's folder when not given; beside them suites.jsonl and collect.jsonl, where
    there are such lines.
    """
    place = place or folder.path
    judged = judge(records, names, seed=run.train.seed, decides=(against, primary))
    compared = judged["differences"][against][primary]
    results = {
        "verdict": compared["verdict"],
        "against": against,
        "primary": primary,
        "items": int(rows_of(records).max()) + 1,
        "units": compared["units"],
        "grouped_by": run.data.split_by,
        "smallest_effect": compared["smallest_effect"],
        "items_needed": compared["items_needed"],
        **judged,
        "higher_is_better": {name: metric(name).higher for name in names},
        "model": _model(folder, run),
        **NOTHING,
        **more,
        "seed": run.train.seed,
        "resamples": RESAMPLES,
        "level": LEVEL,
    }
    _write_lines(place / folder.items.name, records)
    for name, lines in (("suites.jsonl", suite_lines), (COLLECT, to_collect)):
        if lines:
            _write_lines(place / name, lines)
        else:  # those of an earlier proof would be read as this one's
            (place / name).unlink(missing_ok=True)
    results = _plain(results)
    write_whole(
        place / folder.proof.name,
        json.dumps(results, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
    )
    return Proof(results)


def _write_lines(path: Path, lines: Sequence[JsonObject]) -> None:
    text = "".join(json.dumps(_plain(line), ensure_ascii=False) + "\n" for line in lines)
    write_whole(path, text)
