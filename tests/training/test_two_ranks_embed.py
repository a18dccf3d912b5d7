"""Two processes learn embeddings as one does: each text of a step is told from the texts of
both.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from material import runs
from material.headed import encoder
from material.two_processes import two_ranks
from proving.test_vectors import questions
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train


def test_two_ranks_contrast_what_one_contrasts(tmp_path: Path) -> None:
    model, data = (
        encoder(tmp_path / "base", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        questions(tmp_path / "p.jsonl", 60),
    )
    settings = {
        "data": {"path": str(data), "held_out": 0},
        "objective": "embed",
        "method": {"name": "lora", "rank": 4},
        "train.micro_tokens": 64,
        "train.keep.evaluate": 0,
        "train.steps": 4,
        "train.optimizer": "sgd",
    }
    alone = runs.resolved(tmp_path / "one", model, **settings)
    prepared = runs.data_of(alone)
    assert two_ranks(tmp_path / "two", model, prepared, **settings) == [0, 0]
    folder = train(alone, prepared, progress=runs.quiet())
    for first, second in zip(
        runs.record(folder), runs.record(RunFolder(tmp_path / "two")), strict=True
    ):
        assert first.get("loss", 0) == pytest.approx(second.get("loss", 0), rel=1e-5)
        assert first.get("grad_norm", 0) == pytest.approx(second.get("grad_norm", 0), rel=1e-4)
    one, two = (
        load_file(tmp_path / name / "model/adapter_model.safetensors") for name in ("one", "two")
    )
    assert one.keys() == two.keys() and all(
        torch.allclose(one[name], two[name], atol=1e-6) for name in one
    )
    assert any(float(value.abs().max()) > 1e-4 for name, value in one.items() if "lora_B" in name)
