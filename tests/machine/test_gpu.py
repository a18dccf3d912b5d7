"""What a GPU must do, each also run on the CPU so that these tests are known to work: layouts and
cuts agree, a stopped run ends with the same bits, bf16 follows fp32, memory stays within the plan.
"""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from material import runs
from tunesmith import api
from tunesmith.batches.batch import Batch
from tunesmith.models.calling.views import token_loss
from tunesmith.models.loading.load import load_model
from tunesmith.settings.family import METHODS
from tunesmith.storage.run_folder import RunFolder

ABSENT = not torch.cuda.is_available()
GPU = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(ABSENT, reason="torch finds no CUDA GPU here")],
)
everywhere = pytest.mark.parametrize("device", ["cpu", GPU])


class Stopped(Exception):
    """Ends a run in the middle of its steps."""


def settings(model: Path, out: Path, device: str, **machine: Any) -> dict[str, Any]:
    asked = runs.asked(out, model).model_dump(mode="json", exclude_unset=True)
    asked["train"]["machine"] = {"device": device, "threads": 1, **machine}
    return asked


def losses(folder: RunFolder) -> list[float]:
    return [line["loss"] for line in folder.steps() if "loss" in line]


@everywhere
def test_layouts_and_cuts_agree(device: str, tiny_llama: Path, tmp_path: Path) -> None:
    prepared = runs.data_of(runs.resolved(tmp_path / "run", tiny_llama))
    rows = [list(item.tokens) for item in prepared.train[:8]]
    loaded = load_model(tiny_llama, dtype=torch.float32, device=device)
    torch.manual_seed(0)
    loaded.model = METHODS.make(METHODS.config({"name": "lora", "rank": 4})).apply(loaded.model)
    for name, weight in loaded.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    loaded.model.to(device)
    trained = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    assert {weight.device.type for weight in trained} == {device}

    def gradient(*batches: Batch) -> torch.Tensor:
        loaded.model.zero_grad()
        units = sum(batch.units for batch in batches)
        for batch in batches:
            (token_loss(loaded.model, batch.to(torch.device(device))).total / units).backward()
        return torch.cat([weight.grad.flatten() for weight in trained if weight.grad is not None])

    forest = Batch.grow(rows)
    whole = gradient(forest)
    assert float(whole.norm()) > 0
    for cut in (
        [Batch.grow(rows, share=False)],
        [forest.padded()],
        [Batch.grow([row]) for row in rows],
    ):
        assert float((gradient(*cut) - whole).norm()) <= 1e-4 * float(whole.norm())


@everywhere
def test_a_stopped_run_ends_with_the_same_bits(
    device: str, tiny_llama: Path, tmp_path: Path
) -> None:
    def stop(line: dict[str, Any]) -> None:
        if line["step"] == 5 and "loss" in line:
            raise Stopped

    straight = api.train(settings(tiny_llama, tmp_path / "straight", device, exact=True))
    with pytest.raises(Stopped):
        api.train(settings(tiny_llama, tmp_path / "run", device, exact=True), on_step=stop)
    resumed = api.train(tmp_path / "run", resume=True)
    assert runs.weights(resumed.model) == runs.weights(straight.model)
    assert runs.record(resumed) == runs.record(straight)


@everywhere
@pytest.mark.slow  # 3 s
def test_bf16_follows_fp32(device: str, tiny_llama: Path, tmp_path: Path) -> None:
    exact, rough = (
        losses(api.train(settings(tiny_llama, tmp_path / word, device, precision=word)))
        for word in ("fp32", "bf16")
    )
    assert len(exact) == len(rough) and exact != rough
    assert exact[-1] < exact[0]
    for ours, theirs in zip(rough, exact, strict=True):
        assert abs(ours - theirs) <= 0.05 * theirs


@pytest.mark.starter
@pytest.mark.parametrize("device", [GPU])
def test_the_memory_stays_within_the_plan(device: str, tiny_llama: Path, tmp_path: Path) -> None:
    asked = settings(tiny_llama, tmp_path / "run", device) | {"model": "starter"}
    planned = api.plan(asked).facts["memory_gib"]
    torch.cuda.reset_peak_memory_stats()
    folder = api.train(asked)
    peak = max(line["memory_gib"] for line in folder.steps() if "memory_gib" in line)
    assert 0.25 * planned["low"] <= peak <= planned["high"], (planned, peak)


@everywhere
@pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)
@pytest.mark.slow  # 1 s
def test_a_quantised_base_trains(device: str, tiny_llama: Path, tmp_path: Path) -> None:
    asked = settings(tiny_llama, tmp_path / "run", device)
    asked["method"] = {"name": "qlora", "rank": 4}
    found = losses(api.train(asked))
    assert all(map(math.isfinite, found)) and found[-1] < found[0]


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    own = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "benchmarks/gpu.py", *arguments]
    return subprocess.run(
        command, cwd=root, env=own, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.slow
def test_the_speed_table_is_made_on_a_cpu_too(tiny_llama: Path) -> None:
    done = script("--device", "cpu", "--tiny", "--model", str(tiny_llama))
    assert done.returncode == 0, done.stderr[-2000:]
    first, _, padded, ours = done.stdout.strip().splitlines()[-4:]
    assert "peak memory" in first
    for line in (padded, ours):
        _, _, speed, peak, _ = line.split("|")
        assert float(speed.split()[0]) > 0 and float(peak) > 0


@pytest.mark.skipif(not ABSENT, reason="there is a CUDA GPU")
@pytest.mark.slow  # 3 s
def test_without_a_gpu_one_line_says_what_is_needed() -> None:
    done = script()
    assert done.returncode and len(done.stderr.strip().splitlines()) == 1
    assert "make gpu needs a CUDA GPU" in done.stderr
