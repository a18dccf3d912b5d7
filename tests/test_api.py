"""The verbs as Python functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from material.terminal import rows


def test_python_side(tiny_llama: Path, tmp_path: Path):
    import tunesmith as ts

    (tmp_path / "rows.json").write_text(json.dumps(rows(60)), encoding="utf-8")
    settings = {
        "model": str(tiny_llama),
        "data": str(tmp_path / "rows.json"),
        "out": str(tmp_path / "run"),
    }
    lines: list[dict[str, Any]] = []
    run = ts.train(
        settings,
        ["train.steps=2", "train.batch=4", "generate.max_new_tokens=4"],
        on_step=lines.append,
    )
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert ts.plan(settings, {"out": str(tmp_path / "other")}).facts["rows"]["train"] == 54
    assert ts.check(settings).to_json()["rows"] == 60
    answers = ts.load(run).predict([{"instruction": "what is the name of 1", "n": 3}])
    assert (
        answers == ts.predict(run, [{"instruction": "what is the name of 1", "n": 3}])
        and answers[0]["n"] == 3
    )
