"""The demo's glue, on a tiny model: ledger first, then the proof, the questions, and paths that are
there.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tunesmith.cli import demo as demonstration
from tunesmith.cli.demo import demo, free_folder, left_off, recipe
from tunesmith.errors import SpecError
from tunesmith.settings.run import read_run

KINDS = ["abbreviation", "description", "entity", "human", "location", "number"]


def test_demo_from_ledger_to_report(
    tiny_llama: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"question": f"What is {number} of {number * 7 % 31} ?", "answer": KINDS[number % 6]}
        for number in range(120)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 2))
    changes = {
        "model": str(tiny_llama),
        "data.path": "rows.jsonl",
        "data.held_out": 60,
        "lang": "en",
    }
    run = demo(
        Path("runs/demo"),
        changes
        | {"train.steps": 2, "prove.items": 12, "prove.shots": 1, "generate.max_new_tokens": 2},
    )
    printed = capsys.readouterr().out
    order = [
        "240 rows in 1 file, 120 of them different",
        "60 training rows",
        "What does NATO stand for ?",
        "\nreport: ",
        "\nmodel:  ",
    ]
    places = [printed.index(text) for text in order]
    assert places == sorted(places)
    assert printed.count("    base ") == printed.count("    tuned ") == 4
    report = Path(printed.partition("\nreport: ")[2].partition("\n")[0])
    model = Path(printed.partition("\nmodel:  ")[2].partition("\n")[0])
    assert report.is_file()
    assert (model / "adapter_config.json").is_file()
    assert run.proof.is_file()
    assert free_folder(Path("runs/demo")) == Path("runs/demo-2")


@pytest.mark.slow
def test_the_demo_improves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo's rows, model and settings; a quarter of the rows are proved, without examples."""
    lighter = {"prove.items": 100, "prove.shots": 0, "train.keep.evaluate": 0, "lang": "en"}
    run = demo(tmp_path / "demo", lighter)
    found = run.read(run.proof)
    assert found is not None and found["verdict"] == "improved" and found["against"] == "base"
    tuned, base = (found["contenders"][name]["accuracy"] for name in ("tuned", "base"))
    assert found["differences"]["base"]["accuracy"]["low"] > 0
    assert f"Verdict: improved. accuracy {100 * tuned:.1f} %" in capsys.readouterr().out
    assert tuned - base > 0.3, "85 % and 25 % of 400 rows, as the README shows"


def test_recipe_is_the_main_job() -> None:
    run = read_run(recipe("demo_trec.yaml"))
    assert (run.model.path, run.data.path, run.objective.name, run.method.name) == (
        "starter",
        "package:trec",
        "sft",
        "lora",
    )
    assert all(kind in str(run.data.system) for kind in KINDS)
    assert len(run.questions) == 4


def test_recipe_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "__file__", str(tmp_path / "site" / "tunesmith" / "demo.py"))
    monkeypatch.setattr(importlib.metadata, "files", lambda name: None)
    with pytest.raises(SpecError, match=r"demo_trec\.yaml: the demo's recipe was not found"):
        recipe("demo_trec.yaml")
    installed = tmp_path / "share" / "demo_trec.yaml"
    installed.parent.mkdir()
    installed.write_text("model: starter\n")
    monkeypatch.setattr(
        importlib.metadata,
        "files",
        lambda name: [SimpleNamespace(name="demo_trec.yaml", locate=lambda: installed)],
    )
    assert recipe("demo_trec.yaml") == installed


def test_a_demo_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    wanted = tmp_path / "demo"
    assert left_off(wanted) is None
    wanted.mkdir()
    assert left_off(wanted) is None  # nothing was begun in it
    (wanted / "run.yaml").write_text("model: m\n", encoding="utf-8")
    begun = left_off(wanted)
    assert begun is not None and begun.path == wanted
    (wanted / "report.html").touch()
    assert left_off(wanted) is not None  # training writes one, and the proof was interrupted
    (wanted / "proof.json").touch()
    os.utime(wanted / "report.html", ns=(0, 0))
    assert left_off(wanted) is not None  # the report does not know the proof yet
    (wanted / "report.html").touch()
    assert left_off(wanted) is None
    (tmp_path / "demo-2").mkdir()
    (tmp_path / "demo-2" / "run.yaml").touch()
    again = left_off(wanted)
    assert again is not None and again.path == tmp_path / "demo-2"
