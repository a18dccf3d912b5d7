"""Two processes that each compute with their part of every weight, on the same rows, train what one
process trains; what they save is whole, and goes on in one process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from material import runs
from material.two_processes import PLAINLY, in_two, same_runs, two_ranks
from tunesmith.batches.batch import Batch
from tunesmith.batches.micro_batches import micro_batches
from tunesmith.data.prepare import Prepared
from tunesmith.errors import Stopped
from tunesmith.events.stream import Events
from tunesmith.models.structure.divided import own_part
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.preparing import make_ready
from tunesmith.training.start import train

TENSOR: dict[str, Any] = {"train.machine.shard": "tensor"}
# Several rows in a micro-batch, as usual.
SETTINGS: dict[str, Any] = {
    **PLAINLY,
    "questions": ["How far is Rome?"],
    "train.micro_tokens": 256,
}


@pytest.fixture
def rows(tiny_llama: Path, tmp_path: Path) -> tuple[dict[str, Any], Prepared]:
    (tmp_path / "rows.json").write_text(json.dumps(runs.rows()[:17]), encoding="utf-8")
    how = {**SETTINGS, "data": {"path": str(tmp_path / "rows.json"), "held_out": 0}}
    prepared = runs.data_of(runs.resolved(tmp_path / "one", tiny_llama, **how), watch=0)
    prepared.watch, prepared.train = prepared.train[-4:], prepared.train[:-4]
    return how, prepared


@pytest.mark.slow  # 11 s
def test_two_parts_train_what_one_process_trains(
    rows: tuple[dict[str, Any], Prepared], tiny_llama: Path, tmp_path: Path
) -> None:
    how = {**rows[0], "method": {"name": "full"}}
    folder = train(runs.resolved(tmp_path / "one", tiny_llama, **how), rows[1])
    assert two_ranks(tmp_path / "two", tiny_llama, rows[1], **how, **TENSOR) == [0, 0]
    same_runs(folder, RunFolder(tmp_path / "two"))
    config = json.loads((tmp_path / "two" / "model" / "config.json").read_text(encoding="utf-8"))
    assert "distributed_config" not in config


@pytest.mark.slow  # 15 s
def test_an_adapter_goes_on_in_two_parts_as_it_does_in_one(
    rows: tuple[dict[str, Any], Prepared], tiny_llama: Path, tmp_path: Path
) -> None:
    """The same seed draws another adapter where each process draws its part, so both begin from one
    checkpoint.
    """
    how = {**rows[0], "method": {"name": "lora", "rank": 4}, "train.keep.keep": 9}
    whole = train(runs.resolved(tmp_path / "one", tiny_llama, **how), rows[1])
    shutil.copytree(whole.path, tmp_path / "two")
    for kept in sorted((tmp_path / "two" / "checkpoints").iterdir())[1:]:
        shutil.rmtree(kept)
    assert two_ranks(tmp_path / "two", tiny_llama, rows[1], resume=True, **how, **TENSOR) == [0, 0]
    same_runs(whole, RunFolder(tmp_path / "two"))


@pytest.mark.slow
def test_what_was_stopped_in_two_parts_goes_on_with_the_same_bits_and_in_one_process(
    rows: tuple[dict[str, Any], Prepared],
    tiny_llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = {**rows[0], "method": {"name": "full"}, "train.optimizer": "adamw"}
    how |= {"train.learning_rate": 1e-3, "train.keep.final": "last", "questions": []}
    steps: list[int] = []

    def stopped(examples: Any, *args: Any, **kinds: Any) -> list[Batch]:
        steps.append(1)
        if len(steps) == 3 and out != "whole":
            os.kill(os.getpid(), signal.SIGTERM)
        return micro_batches(examples, *args, **kinds)

    monkeypatch.setattr("tunesmith.training.work.micro_batches", stopped)
    for out, code in ("whole", 0), ("two", Stopped.exit_code):
        assert two_ranks(tmp_path / out, tiny_llama, rows[1], **how, **TENSOR) == [code] * 2
    monkeypatch.undo()
    shutil.copytree(tmp_path / "two", tmp_path / "one")
    assert two_ranks(tmp_path / "two", tiny_llama, rows[1], resume=True, **how, **TENSOR) == [0, 0]
    train(runs.resolved(tmp_path / "one", tiny_llama, **how), rows[1], resume=True)
    files = [tmp_path / out / "model" / "model.safetensors" for out in ("whole", "two", "one")]
    whole, again, alone = map(load_file, files)
    for name, value in whole.items():
        assert torch.equal(again[name], value), name
        assert float((alone[name] - value).abs().max()) < 1e-4, name


def test_each_process_holds_and_reads_its_part(
    rows: tuple[dict[str, Any], Prepared], tiny_llama: Path, tmp_path: Path
) -> None:
    def hold(_: int) -> None:
        one = runs.resolved(tmp_path / "run", tiny_llama, method={"name": "lora"}, **TENSOR)
        work = make_ready(one, rows[1], Events()).work
        assert work.model.layout == "forest", work.model.reasons["layout"]
        model = work.model.model
        for name, weight in model.named_parameters():
            if "_proj.base_layer" in name:
                assert own_part(weight).numel() == weight.numel() / 2, name

    assert in_two(hold) == [0, 0]
