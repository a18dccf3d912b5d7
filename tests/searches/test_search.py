"""A search over a tiny model: stopped in the middle it goes on, and ends as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import tunesmith as ts
from material.proved import labelled
from tunesmith.errors import SpecError, Stopped
from tunesmith.events.stream import Event
from tunesmith.events.verbs import PieceBegun, SearchBegun, TrialScored
from tunesmith.settings.given import settings_of
from tunesmith.storage.run_folder import RunFolder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Trials are forked; a parent that has used OpenMP threads would leave them hanging."""
    torch.set_num_threads(1)


def settings(folder: Path, model: Path, out: str, **changes: Any) -> dict[str, Any]:
    rows = folder / "rows.json"
    rows.write_text(json.dumps(labelled(160)), encoding="utf-8")
    return {
        "model": str(model),
        "data": {"path": str(rows), "held_out": 90},
        "out": str(folder / out),
        "method": "full",
        "train": {"steps": 12, "batch": 8, "machine": {"threads": 1}},
        "generate": {"max_new_tokens": 4},
        "prove": {"items": 12, "shots": 0},
        # One of the rates breaks the model: a trial that loses, and ends nothing.
        "search": {
            "over": {"train.learning_rate": [1e-5, 3e-3, 900.0]},
            "trials": 5,  # there are four, with the run's own
            "engine": {"name": "halving", "rungs": [0.5]},
        },
        "lang": "en",
        **changes,
    }


def without_times(found: dict[str, Any]) -> dict[str, Any]:
    trials = [
        {**one, "seconds": 0, "seconds_in_all": 0, "memory_gib": 0} for one in found["trials"]
    ]
    return {
        **found,
        "front": [],  # follows from the times
        "trials": trials,
        "whole": {n: one["watch"] for n, one in found["whole"].items()},
    }


def test_a_search_finds_the_rate_that_learns_and_proves_it(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[Event] = []
    asked = settings(tmp_path, tiny_llama, "whole")
    asked["search"]["general"] = str(tmp_path / "general.jsonl")
    texts = "".join(json.dumps({"text": f"Text {n} of other things."}) + "\n" for n in range(6))
    (tmp_path / "general.jsonl").write_text(texts, encoding="utf-8")
    found = ts.search(asked, listen=[heard.append])
    assert "tuned: likelihoods" in capsys.readouterr().err, "the proof shows how far it is"
    told = found.searched.to_json()
    assert sum(isinstance(event, SearchBegun) for event in heard) == 1
    assert any("4 are tried, with the run's own, and not 5" in str(event) for event in heard)
    rates = [one["values"].get("train.learning_rate") for one in told["trials"]]
    assert rates[0] is None and sorted(rates[1:]) == [1e-5, 3e-3, 900.0]
    assert told["best"] == {"train.learning_rate": 3e-3}
    broken = next(one for one in told["trials"] if one["values"] == {"train.learning_rate": 900.0})
    assert broken["score"] is None, "a run whose loss is no number has no score"
    assert {
        name: RunFolder(tmp_path / "whole" / name).resolved().run.train.learning_rate
        for name in ("best", "as-given")
    } == {
        "best": 3e-3,
        "as-given": 2e-5,
    }
    proof = found.proof
    assert len(proof.found["contenders"]) >= 3 and proof.found["items"] == 12
    assert told["front"] and set(told["front"]) <= {one["run"] for one in told["trials"]}
    assert told["importance"] == []  # four trials do not tell
    # What has learned more has moved further from the texts that it was not taught.
    whole = told["whole"]
    assert (
        whole["best"]["general"] != whole["as-given"]["general"]
        and 4 < whole["as-given"]["general"] < 8
    )
    assert all(one["general"] > 0 for one in told["trials"] if one["score"] is not None)
    assert any("nearer to general texts" in line for line in found.lines())
    page = found.searched.page.read_text(encoding="utf-8")
    assert page.count("<svg") == 2 and all(one["run"] in page for one in told["trials"])
    lines = found.lines()
    assert lines[0].startswith("4 settings in 4 trainings, by loss"), "a setting that climbs is one"
    assert any("best: train.learning_rate=0.003" in line for line in lines)
    nll = proof.found["contenders"]["tuned"]["nll"]
    assert any(f"and {nll:.3f} on 12 rows that the search never saw" in line for line in lines)

    other = {**asked, "generate": {"max_new_tokens": 8}}
    with pytest.raises(SpecError, match=r"generate\.max_new_tokens: was 4 when this search began"):
        ts.search(other, quiet=True)


@pytest.mark.slow  # 15 s
def test_a_search_that_was_stopped_goes_on_and_repeats_nothing(
    tiny_llama: Path, tmp_path: Path
) -> None:
    heard: list[Event] = []
    whole = ts.search(settings(tmp_path, tiny_llama, "whole"), quiet=True, listen=[heard.append])
    seen: list[Event] = []

    def stop(event: Event) -> None:
        # Once: a second signal leaves at once, and others may fail after the first is scored.
        if isinstance(event, TrialScored) and not any(isinstance(e, TrialScored) for e in seen):
            os.kill(os.getpid(), signal.SIGTERM)
        seen.append(event)

    # One trial at a time, and two: the same trials with the same bits.
    for workers in (1, 2):
        seen.clear()
        again = settings(tmp_path, tiny_llama, f"stopped-{workers}")
        again["search"]["workers"] = workers
        with pytest.raises(Stopped, match="the same command continues"):
            ts.search(again, quiet=True, listen=[stop])
        after: list[Event] = []
        second = ts.search(again, quiet=True, listen=[after.append])
        begun = [sum(isinstance(one, PieceBegun) for one in some) for some in (seen, after, heard)]
        # What ran beside the one that was scored begins twice, and goes on.
        assert begun[2] <= begun[0] + begun[1] < begun[2] + workers
        assert without_times(second.searched.to_json()) == without_times(whole.searched.to_json())
        for name in ("best", "as-given"):
            weights = [
                (tmp_path / out / name / "model" / "model.safetensors").read_bytes()
                for out in ("whole", f"stopped-{workers}")
            ]
            assert weights[0] == weights[1], name


def test_one_run_refuses_the_settings_of_a_search(tiny_llama: Path, tmp_path: Path) -> None:
    asked = settings_of(settings(tmp_path, tiny_llama, "run"))
    problems = ts.plan(asked).problems
    assert any(one.where == "search" and "tunesmith search" in one.text for one in problems)


@pytest.mark.parametrize("verb", [ts.search, ts.tournament, ts.train])
def test_several_processes_are_refused_where_only_one_would_train(
    verb: Any, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as caught:
        verb({"model": str(tiny_llama), "data": "rows.json", "out": "run", "processes": 2})
    (problem,) = caught.value.problems
    assert problem.where == "processes"


def test_one_setting_alone_is_trained_whole_and_nothing_is_chosen(
    tmp_path: Path, tiny_llama: Path
) -> None:
    asked = settings(tmp_path, tiny_llama, "alone")
    asked["search"]["trials"] = 1
    heard: list[Event] = []
    found = ts.search(asked, quiet=True, listen=[heard.append])
    told = found.searched.to_json()
    assert (told["best"], told["trials"], told["front"]) == ({}, [], [])
    assert [*told["whole"]] == ["best"] and found.searched.as_given is None
    assert not any(isinstance(one, SearchBegun) for one in heard), "nothing is searched"
    assert sum(isinstance(one, PieceBegun) for one in heard) == 1, "one training in all"
    assert "nothing was chosen" in found.lines()[0]
    page = found.searched.page.read_text(encoding="utf-8")
    assert "nothing was chosen" in page and "<table" not in page


@pytest.mark.slow  # 40 s
def test_tpe_with_two_processes_goes_on_after_a_kill_and_ends_as_one_that_was_not(
    tiny_llama: Path, tmp_path: Path
) -> None:
    """The command itself, as a process whose trials are processes of their own."""
    pytest.importorskip("optuna")
    asked = settings(tmp_path, tiny_llama, "whole")
    over = {"train.learning_rate": "log(1e-5, 1e-2)"}
    engine = {"name": "tpe", "random": 2, "share": 0.5}
    asked["search"] = {"over": over, "trials": 6, "engine": engine, "workers": 2}

    def begin(out: str) -> subprocess.Popen[bytes]:
        file = tmp_path / f"{out}.json"  # JSON is YAML
        file.write_text(json.dumps({**asked, "out": str(tmp_path / out)}), encoding="utf-8")
        words = [sys.executable, "-m", "tunesmith", "search", str(file)]
        own = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(words, env=own, start_new_session=True, stderr=subprocess.DEVNULL)

    assert begin("whole").wait(900) == 0
    first = begin("killed")
    scored, until = tmp_path / "killed" / "trials", time.monotonic() + 900
    while len([*scored.glob("*/trial.json")]) < 3 and time.monotonic() < until:
        assert first.poll() is None, "it ended before it was killed"
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(60)
    assert not (tmp_path / "killed" / "search.json").exists()
    assert begin("killed").wait(900) == 0
    found = [
        without_times(json.loads((tmp_path / out / "search.json").read_text(encoding="utf-8")))
        for out in ("whole", "killed")
    ]
    assert len(found[0]["trials"]) == 6 and found[0] == found[1]
