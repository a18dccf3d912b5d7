"""Where memory runs out, micro-batches are halved, said and recorded, and the run is the same."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from material import runs
from tunesmith.errors import Stopped, TrainingError
from tunesmith.objectives.sft import Sft
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train

SETTINGS = {
    "method": {"name": "lora", "rank": 4},
    "train.steps": 3,
    "train.micro_tokens": 100_000,
    "train.optimizer": {"name": "sgd", "momentum": 0},
}


@pytest.fixture
def held(monkeypatch):
    """Emulates a device that holds no more than ``held[0]`` tokens, forward and backward, and
    lists the sizes that it was given.
    """
    limit, sizes, real = [10**9], [], Sft.loss

    def loss(self, models, batch):
        found = real(self, models, batch)
        if not torch.is_grad_enabled():
            return found
        sizes.append(len(batch.ids_T))
        if len(batch.ids_T) > limit[0]:
            found.total.backward()  # part of a gradient is there when it fails
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    monkeypatch.setattr(Sft, "loss", loss)
    return limit, sizes


def short(folder: RunFolder) -> list[dict]:
    return [line for line in folder.steps() if line.get("event") == "memory_short"]


def test_the_gradient_is_that_of_whole_batches(tiny_llama, prepared, tmp_path, held):
    limit, sizes = held
    whole = train(runs.resolved(tmp_path / "whole", tiny_llama, **SETTINGS), prepared)
    limit[0] = max(sizes) // 3
    sizes.clear()
    halved = train(runs.resolved(tmp_path / "halved", tiny_llama, **SETTINGS), prepared)
    told = short(halved)
    assert told and not short(whole)
    assert told[-1]["tokens"] <= 2 * limit[0] and told[-1]["count"] > 1
    assert told[0]["step"] == 1, "the rest of the run begins with smaller ones"
    ours, theirs = (
        load_file(folder.model / "adapter_model.safetensors") for folder in (halved, whole)
    )
    for name, weight in theirs.items():
        assert torch.allclose(ours[name], weight, rtol=1e-5, atol=1e-7), name
    losses = [[line["loss"] for line in run.steps() if "loss" in line] for run in (halved, whole)]
    assert len(losses[1]) == 3 and losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_resumed_run_knows_what_fits(tiny_llama, prepared, tmp_path, held):
    limit, sizes = held
    train(runs.resolved(tmp_path / "measured", tiny_llama, **SETTINGS), prepared)
    limit[0] = max(sizes) // 3
    straight = train(runs.resolved(tmp_path / "straight", tiny_llama, **SETTINGS), prepared)

    def stop(line):
        if line["step"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    one = runs.resolved(tmp_path / "run", tiny_llama, **SETTINGS)
    with pytest.raises(Stopped):
        train(one, prepared, events=runs.on_step(stop))
    folder = RunFolder(tmp_path / "run")
    before = short(folder)
    train(folder.resolved(), prepared, resume=True)
    assert before and short(folder) == before, "nothing runs out a second time"
    assert runs.weights(folder.model) == runs.weights(straight.model)


def test_one_row_that_does_not_fit_is_said(tiny_llama, prepared, tmp_path, held):
    limit, _ = held
    limit[0] = 3
    with pytest.raises(TrainingError, match=r"step 1: the memory ran out on a micro-batch of \d+"):
        train(runs.resolved(tmp_path / "run", tiny_llama, **SETTINGS), prepared)
