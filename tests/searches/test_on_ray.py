"""Trials on a real Ray cluster of this machine: one loses its worker, all are stopped, and another
place goes on.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml

import tunesmith as ts
from material.proved import labelled
from tunesmith.machine.signals import RESUMABLE
from tunesmith.storage.process import process_of

SECONDS = 300


def settings(folder: Path, model: Path, out: str) -> dict[str, object]:
    return {
        "model": str(model),
        "data": {"path": str(folder / "rows.json"), "held_out": 90},
        "out": str(folder / out),
        "method": "full",
        # Steps enough to end a worker between two of them.
        "train": {"steps": 400, "batch": 8, "keep": {"save": 10}, "machine": {"threads": 1}},
        "generate": {"max_new_tokens": 4},
        "prove": {"items": 12, "shots": 0},
        "search": {
            "over": {"train.learning_rate": [1e-5, 3e-3]},
            "trials": 3,
            "engine": {"name": "halving", "rungs": [0.5]},
        },
        "lang": "en",
    }


@pytest.mark.slow  # 2 minutes
def test_a_trial_whose_worker_is_lost_goes_on_and_another_place_takes_over(
    tmp_path: Path, tiny_llama: Path
) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'tunesmith[ray]'")
    psutil = pytest.importorskip("psutil")
    torch.set_num_threads(1)
    (tmp_path / "rows.json").write_text(json.dumps(labelled(160)), encoding="utf-8")
    asked = settings(tmp_path, tiny_llama, "ray")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    log = tmp_path / "log"
    # Ray's own niceness leaves its workers nothing of a busy machine.
    own = {**os.environ, "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}
    words = ["search", "run.yaml", "search.place=ray", "search.workers=2"]
    search = subprocess.Popen(
        [sys.executable, "-m", "tunesmith", *words],
        cwd=tmp_path,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        env=own,
        start_new_session=True,
    )
    trials, below = tmp_path / "ray" / "trials", []

    def until(there: Callable[[], bool]) -> None:
        end = time.monotonic() + SECONDS
        while not there() and time.monotonic() < end:
            assert search.poll() is None, log.read_text()
            time.sleep(0.05)
        assert there(), log.read_text()

    try:
        until(lambda: any((trials / "000" / "checkpoints").glob("step-*")))
        below = psutil.Process(search.pid).children(recursive=True)
        began = (trials / "000" / "run.yaml").stat().st_mtime_ns
        worker = process_of(trials / "000")
        assert worker is not None and worker.pid in {one.pid for one in below}
        psutil.Process(worker.pid).kill()
        until((trials / "000" / "trial.json").is_file)
        until(lambda: any((tmp_path / "ray" / "best" / "checkpoints").glob("step-*")))
        search.terminate()
        assert search.wait(SECONDS) == RESUMABLE, log.read_text()
        below += psutil.Process().children(recursive=True)
    finally:
        for left in below:
            with suppress(psutil.NoSuchProcess):
                left.kill()
    assert "the same command continues" in log.read_text()
    assert not (tmp_path / "ray" / "best" / "trial.json").exists()
    assert (trials / "000" / "run.yaml").stat().st_mtime_ns == began, "it went on, not anew"
    found = ts.search(asked, quiet=True).searched
    whole = ts.search(settings(tmp_path, tiny_llama, "here"), quiet=True).searched
    for one, other in zip(found.found["trials"], whole.found["trials"], strict=True):
        assert (one["values"], one["watch"]) == (other["values"], other["watch"])
    assert found.found["best"] == whole.found["best"]
