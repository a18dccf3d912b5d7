"""A learning curve over a tiny model: nested rows, the same proof rows, stopped and gone on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from material.proved import labelled
from tunesmith.errors import DataError, SpecError, Stopped
from tunesmith.events.run import Began, StepMade
from tunesmith.events.stream import Event
from tunesmith.events.verbs import PieceBegun, PointProved
from tunesmith.report.samples import read_items
from tunesmith.settings.given import settings_of
from tunesmith.storage.run_folder import RunFolder


def settings(folder: Path, model: Path, out: str, **changes: Any) -> dict[str, Any]:
    rows = folder / "rows.json"
    rows.write_text(json.dumps(labelled(160)), encoding="utf-8")
    return {
        "model": str(model),
        "data": {"path": str(rows), "held_out": 40},
        "out": str(folder / out),
        "method": "full",
        "train": {
            "steps": 4,
            "learning_rate": 3e-3,
            "machine": {"threads": 1},
            "keep": {"evaluate": 0, "save": 0},
        },
        "generate": {"max_new_tokens": 4},
        "prove": {"shots": 0},
        "curve": {"shares": [0.25, 0.5, 1], "seeds": 1},
        "lang": "en",
        **changes,
    }


def test_a_curve_is_stopped_and_goes_on_and_its_points_are_runs(
    tiny_llama: Path, tmp_path: Path
) -> None:
    seen: list[Event] = []

    def stop(event: Event) -> None:
        """In the middle of the second point's training."""
        seen.append(event)
        begun = sum(isinstance(one, Began) for one in seen)
        if begun == 2 and isinstance(event, StepMade) and event.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    asked = settings(tmp_path, tiny_llama, "curve")
    with pytest.raises(Stopped):
        ts.curve(asked, quiet=True, listen=[stop])
    after: list[Event] = []
    drawn = ts.curve(asked, quiet=True, listen=[after.append])
    begun = [sum(isinstance(one, PieceBegun) for one in some) for some in (seen, after)]
    assert begun == [2, 2] and sum(isinstance(one, PointProved) for one in after) == 3
    found = drawn.to_json()
    assert found["metric"] == "accuracy" and found["items"] == 20 and found["seeds"] == 1
    sizes = [one["rows"] for one in found["points"]]
    assert sizes == [30, 60, 120]
    for one in found["points"]:
        assert one["low"] <= one["value"] <= one["high"] and one["seeds"] == [one["value"]]
        assert {"base", "tfidf"} <= set(one["rivals"])
    assert drawn.page.is_file() and any("training rows" in line for line in drawn.lines())

    folders = {size: RunFolder(drawn.path / f"points/{size:05d}-rows-seed-0") for size in sizes}
    left_out, proved = {}, set()
    for size, folder in folders.items():
        dropped = map(json.loads, folder.dropped.read_text(encoding="utf-8").splitlines())
        left_out[size] = {one["row"] for one in dropped if one["reason"] == "more than train rows"}
        proved.add(tuple(item["id"] for item in read_items(folder.items)))
        assert folder.read(folder.ledger)["trained"] == size
    assert len(proved) == 1, "all are proved on the same rows"
    assert left_out[30] > left_out[60] > left_out[120] == set()

    more = settings(tmp_path, tiny_llama, "curve", prove={"shots": 2})
    with pytest.raises(SpecError, match=r"prove\.shots: was 0 when this learning curve began"):
        ts.curve(more, quiet=True)
    Path(asked["data"]["path"]).write_text(json.dumps(labelled(161)), encoding="utf-8")
    with pytest.raises(DataError, match="not the rows that the runs in"):
        ts.curve(asked, quiet=True)


@pytest.mark.parametrize(
    ("curve", "told"),
    [
        ({"shares": [0.5, 1]}, "gives 60, 120 rows; a curve needs 3"),
        ({"shares": [0.01, 0.5, 1]}, "the smallest share is 1 of 120 rows"),
    ],
)
def test_sizes_that_make_no_curve_are_refused(
    curve: dict[str, Any], told: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=told):
        ts.curve(settings(tmp_path, tiny_llama, "curve", curve=curve), quiet=True)
    assert not (tmp_path / "curve").exists()


def test_one_run_refuses_the_settings_of_a_curve(tiny_llama: Path, tmp_path: Path) -> None:
    problems = ts.plan(settings_of(settings(tmp_path, tiny_llama, "run"))).problems
    assert any(one.where == "curve" and "tunesmith curve" in one.text for one in problems)
