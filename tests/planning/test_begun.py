"""Work of many trainings goes on by the same command, and another one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import SpecError
from tunesmith.planning.begun import begin, refuse_other
from tunesmith.settings.run import Run, validate

MAY = {"out", "lang", "search.trials"}


def run(out: Path, **more: Any) -> Run:
    return validate({"model": "m", "data": "x.json", "out": str(out), "search": {}, **more})


def test_the_same_settings_go_on_and_what_may_change_changes(tmp_path: Path) -> None:
    file = tmp_path / "out" / "search.yaml"
    begin(file, run(tmp_path / "out"), may_change=MAY)
    begin(file, run(tmp_path / "out", lang="zh", search={"trials": 99}), may_change=MAY)
    assert "99" in file.read_text("utf-8")


def test_other_settings_are_named_one_by_one_and_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "out" / "search.yaml"
    begin(file, run(tmp_path / "out"), may_change=MAY)
    before = file.read_bytes()
    other = run(tmp_path / "out", train={"batch": 3}, method="full")
    with pytest.raises(SpecError) as error:
        begin(file, other, may_change=MAY)
    told = {problem.where: problem.text for problem in error.value.problems}
    assert {"train.batch", "out"} <= set(told) and "and is 3" in told["train.batch"]
    assert "search.trials" in told["out"] and file.read_bytes() == before


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "out" / "tournament.yaml"
    refuse_other(file, run(tmp_path / "out"), may_change=MAY)
    file.parent.mkdir()
    (file.parent / ".lock").touch()
    refuse_other(file, run(tmp_path / "out"), may_change=MAY)
    (file.parent / "notes.txt").touch()
    with pytest.raises(SpecError, match="holds no tournament"):
        refuse_other(file, run(tmp_path / "out"), may_change=MAY)
    assert not file.exists()
