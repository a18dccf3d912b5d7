"""The table of runs: what each was, its best held-out loss, its verdict and its state."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from rich.cells import cell_len

from material.folders import analysed, bare, full, proof, steps, write, write_lines
from tunesmith import words
from tunesmith.cli.main import main
from tunesmith.errors import SpecError
from tunesmith.report.runs import lines, runs
from tunesmith.storage.run_folder import RunFolder


def finish(folder: RunFolder) -> None:
    folder.model.mkdir()
    (folder.model / "tunesmith.json").write_text("{}")


def checkpoint(folder: RunFolder, step: int) -> None:
    (folder.checkpoints / f"step-{step:08d}").mkdir(parents=True)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    place = tmp_path / "runs"
    finish(full(place / "done"))
    stopped = bare(place / "group" / "stopped", method={"name": "lora", "rank": 4})
    write_lines(stopped.record, steps(40))
    checkpoint(stopped, 36)
    checkpoint(stopped, 40)
    running = bare(place / "running")
    write_lines(running.record, steps(40))
    checkpoint(running, 36)
    killed = bare(place / "killed")
    write_lines(killed.record, steps(9))
    bare(place / "waiting")
    (place / "broken").mkdir()
    (place / "broken" / "run.yaml").write_text("model: [")
    (place / "notes").mkdir()
    now = time.time()  # one for all: the folders were written at different moments
    for age, name in enumerate(("killed", "group/stopped", "done", "running", "waiting", "broken")):
        for path in (place / name).iterdir():
            if path.is_file():
                then = now - (4000 if name == "killed" else 100 - age)
                os.utime(path, (then, then))
    return place


def test_settings_that_lie_beside_runs_are_no_run(folders: Path) -> None:
    (folders / "run.yaml").write_text("model: starter\ndata: rows.json\nout: runs/done\n")
    assert {row["name"] for row in runs(folders)} >= {"done", "group/stopped", "waiting"}
    alone = folders / "alone"
    alone.mkdir()
    (alone / "run.yaml").write_text("model: starter\ndata: rows.json\nout: runs/done\n")
    assert [row["state"] for row in runs(alone)] == ["not started"]


def test_every_run_with_its_state(folders: Path) -> None:
    with RunFolder(folders / "running").held():
        found = {row["name"]: row for row in runs(folders)}
    assert list(found) == ["killed", "group/stopped", "done", "running", "waiting", "broken"], (
        "oldest first"
    )
    states = {name: (row["state"], row.get("resumable_at")) for name, row in found.items()}
    assert states == {
        "killed": ("stopped", None),
        "group/stopped": ("stopped", 40),
        "done": ("finished", None),
        "running": ("running", 36),
        "waiting": ("not started", None),
        "broken": ("unreadable", None),
    }
    done = found["done"]
    assert (done["objective"], done["method"], done["model"], done["rows"], done["steps"]) == (
        "sft",
        "lora",
        "starter",
        4681,
        150,
    )
    point = {"loss": pytest.approx(0.6311, abs=1e-4), "step": 150}
    assert done["held_out"] == {"last": point, "best": point}
    assert done["proof"]["verdict"] == "improved" and done["proof"]["metric"] == "accuracy"
    assert done["proof"]["difference"] == pytest.approx(0.677)
    assert "is not YAML" in found["broken"]["problem"]
    json.dumps(runs(folders), allow_nan=False)


def test_the_last_and_the_best_are_told_apart(tmp_path: Path) -> None:
    folder = bare(tmp_path / "run")
    seen = [(0, 0.1), (10, 0.7), (20, 0.5), (30, 0.9)]
    write_lines(
        folder.record, [{"step": step, "evaluation": {"loss": loss}} for step, loss in seen]
    )
    folder.model.mkdir()
    (folder.model / "tunesmith.json").write_text(json.dumps({"step": 30}))
    (row,) = runs(tmp_path)
    assert (
        row["held_out"] == {"last": {"loss": 0.9, "step": 30}, "best": {"loss": 0.5, "step": 20}}
        and row["model_step"] == 30
    )
    words.use("en")
    table = lines([row])
    assert (
        "0.9000 @30*" in table[1]
        and "0.5000 @20 " in table[1]
        and table[-1].startswith("* the step whose weights")
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lines_are_aligned(folders: Path, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_chosen", language)
    table = lines(runs(folders))
    assert len(table) == 7
    done = next(line for line in table if line.startswith("done"))
    state = {"en": "finished", "zh": "已完成"}[language]
    assert done.endswith(state)
    assert cell_len(done[: -len(state)]) == cell_len(
        table[0][: table[0].index({"en": "state", "zh": "状态"}[language])]
    )
    stopped = {"en": "stopped, resumable at step 40", "zh": "已停止，可从第 40 步继续"}[language]
    assert any(line.endswith(stopped) for line in table)
    assert ("improved: accuracy +67.7 (+63.7 to +71.7)" in done) == (language == "en")


@pytest.mark.parametrize(
    ("rival", "told"),
    [("tfidf", "TF-IDF with a linear model"), ("length", "choosing the longer answer")],
)
def test_a_verdict_against_another_rival(
    tmp_path: Path, rival: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A classifier's or a reward model's proof has no base: its head was drawn at random."""
    monkeypatch.setattr(words, "_chosen", "en")
    found = proof("not shown")
    compared = found["differences"].pop("base")
    found["contenders"].pop("base")
    compared["accuracy"] |= {"low": None, "high": None}
    write(
        full(tmp_path / "run").proof, found | {"against": rival, "differences": {rival: compared}}
    )
    (row,) = runs(tmp_path)
    assert row["proof"]["against"] == rival and row["proof"]["difference"] == pytest.approx(0.677)
    assert f"not proven: accuracy +67.7 (– to –) against {told}" in lines([row])[1]
    few = row | {"proof": row["proof"] | {"items": 19, "units": 19}}
    assert "not proven: 19 rows are too few" in lines([few])[1] and "67.7" not in lines([few])[1]


def test_one_run_is_a_table_too(folders: Path) -> None:
    assert [row["name"] for row in runs(folders / "done")] == ["done"]


def test_no_folder_and_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_chosen", "en")
    with pytest.raises(
        SpecError, match="there is no such folder; name the folder that holds your runs"
    ):
        runs(tmp_path / "missing")
    assert lines(runs(tmp_path)) == ["no runs here (a run is a folder with a run.yaml)"]


def test_a_damaged_file_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_chosen", "en")
    run = full(tmp_path / "run")
    run.proof.write_text('{"verdict": "impr', encoding="utf-8")
    full(tmp_path / "whole")
    damaged, whole = sorted(runs(tmp_path), key=lambda row: row["name"])
    told = r"run/proof\.json: this file of the run is damaged \(.*\); move it away"
    assert damaged["state"] == "unreadable" and re.search(told, damaged["problem"])
    assert "problem" not in whole
    run.proof.write_text("{}", encoding="utf-8")
    damaged, whole = sorted(runs(tmp_path), key=lambda row: row["name"])
    assert damaged["state"] == "unreadable" and "KeyError" in damaged["problem"]


@pytest.mark.parametrize("name", ["items.jsonl", "suites.jsonl", "record.jsonl"])
@pytest.mark.parametrize(
    "damage", [pytest.param(b'{"id"', marks=pytest.mark.slow), b'{"id": "\xff\xfe"}']
)
def test_a_damaged_line_is_named_by_each_verb_that_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: bytes
) -> None:
    run, other = analysed(tmp_path / "run"), full(tmp_path / "other")
    lines = (run.path / name).read_bytes().split(b"\n")
    (run.path / name).write_bytes(b"\n".join([lines[0], damage, *lines[2:]]))
    reads = ["report", "compare", "doctor"]
    if name == "suites.jsonl":
        reads = ["report"]
    for verb in reads:
        others = [str(other.path)] if verb == "compare" else []
        assert main([verb, str(run.path), *others, "--lang", "en"]) == 2
        told = capsys.readouterr().err
        assert f"{name}:2: this file of the run is damaged" in told and "bug" not in told
