"""The program that Ray gets, and what becomes of it on a Ray cluster of this machine."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import tunesmith as ts

SECONDS = 300


def job(folder: Path, model: Path | str, *asked: str) -> Path:
    rows = [{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(60)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = [f"model={model}", "data=rows.jsonl", "out=runs/a", "processes=2", *asked]
    return ts.launch("ray", None, words, out=folder / "job.ray.py").path


def test_the_program_holds_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = job(tmp_path, "m", "data.system=Say 'yes'", "launch.cluster.nodes=3")
    text = path.read_text(encoding="utf-8")
    held = {
        one.targets[0].id: ast.literal_eval(one.value)
        for one in ast.parse(text).body
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
    }
    out = str(tmp_path / "runs" / "a")
    assert (held["OUT"], held["FOLDER"]) == (out, str(tmp_path))
    assert held["WORDS"] == [
        *("model=m", "data=rows.jsonl", "processes=2", "data.system=Say 'yes'", f"out={out}")
    ]
    assert "num_workers=6, use_gpu=True, resources_per_worker={'CPU': 1, 'GPU': 1}" in text
    assert "backend='cpu:gloo,cuda:nccl'" in text


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_the_run_goes_on(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'tunesmith[ray]'")
    psutil = pytest.importorskip("psutil")
    monkeypatch.chdir(tmp_path)
    # Steps enough that one of the workers can be ended between two of them.
    asked = ["train.steps=120", "train.keep.save=10", "train.keep.evaluate=0", "lang=en"]
    path = job(tmp_path, tiny_llama, *asked, "launch.cluster.gpu=no")
    log = (tmp_path / "log").open("w")
    own = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    # Its own 60 seconds are few on a busy machine.
    own["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(SECONDS)
    program = subprocess.Popen(
        [sys.executable, str(path)], stdout=log, stderr=log, env=own, start_new_session=True
    )
    below: list[psutil.Process] = []
    try:
        saved, until = tmp_path / "runs" / "a" / "checkpoints", time.monotonic() + SECONDS
        while not any(saved.glob("step-*")) and time.monotonic() < until:
            assert program.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
        assert any(saved.glob("step-*")), (tmp_path / "log").read_text()
        below = psutil.Process(program.pid).children(recursive=True)
        workers = [one for one in below if "TrainWorker" in " ".join(one.cmdline())]
        assert len(workers) == 2, [one.cmdline() for one in below]
        workers[1].kill()
        assert program.wait(SECONDS) == 0, (tmp_path / "log").read_text()
    finally:
        for left in (*psutil.Process().children(recursive=True), *below):
            with suppress(psutil.NoSuchProcess):
                left.kill()
    told = (tmp_path / "log").read_text()
    record = [json.loads(line) for line in (tmp_path / "runs/a/record.jsonl").open()]
    assert max(line.get("step", 0) for line in record) == 120
    assert "continuing after step" in told, told
