"""A run is trained by more seeds: stopped and gone on, proved on the same rows, told in its proof."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from material.proved import labelled
from tunesmith.errors import Stopped
from tunesmith.events.run import Began, StepMade
from tunesmith.events.stream import Event
from tunesmith.proving.trainings import over_trainings
from tunesmith.report.build import build
from tunesmith.report.samples import read_items
from tunesmith.storage.run_folder import RunFolder


@pytest.mark.slow  # 9 s
def test_more_seeds_go_on_after_a_stop_and_are_told(tiny_llama: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(labelled(120)), encoding="utf-8")
    asked: dict[str, Any] = {
        "model": str(tiny_llama),
        "data": {"path": str(rows), "held_out": 50},
        "out": str(tmp_path / "run"),
        "method": "full",
        "train": {"steps": 4, "learning_rate": 3e-3, "keep": {"evaluate": 0, "save": 0}},
        "generate": {"max_new_tokens": 4},
        "prove": {"shots": 0},
        "lang": "en",
    }
    run = ts.train(asked)
    seen: list[Event] = []

    def stop(event: Event) -> None:
        seen.append(event)
        if sum(isinstance(one, Began) for one in seen) == 1 and isinstance(event, StepMade):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        ts.prove_seeds(run, 3, listen=[stop])
    again: list[Event] = []
    found: Any = ts.prove_seeds(run, 3, listen=[again.append]).to_json()
    told = found["trainings"]
    assert list(told["values"]) == ["0", "1", "2"] and told["metric"] == found["primary"]
    folders = [run, *(RunFolder(run.path / "seeds" / f"seed-{seed}") for seed in (1, 2))]
    items = [read_items(one.items) for one in folders]
    assert [{line["id"] for line in some} for some in items] == [{x["id"] for x in items[0]}] * 3
    assert [one.resolved().run.train.seed for one in folders] == [0, 1, 2]
    # Every number follows from the items, and the page tells them.
    assert told == over_trainings(dict(enumerate(items)), told["metric"], told["against"])
    assert json.loads(run.proof.read_text(encoding="utf-8"))["trainings"] == told
    page = build(run).read_text(encoding="utf-8")
    assert "Over trainings and items together" in page and "Trained 3 times" in page
    # What is done is not done again.
    third: list[Event] = []
    ts.prove_seeds(run, 3, listen=[third.append])
    assert not any(isinstance(one, StepMade) for one in third)
