"""What a loaded model holds of main memory is what was asked for it, wherever it lies."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith.export.held_memory import held, since
from tunesmith.models.loading.load import load_model
from tunesmith.predicting.engine import TorchEngine

MIB = 2**20
pytestmark = pytest.mark.skipif(held() is None, reason="the system does not tell")


def test_a_tensor_counts_while_it_is_there() -> None:
    start = held()
    tensor = torch.ones(32 * MIB // 4)
    # what others hold changes meanwhile by some hundred bytes
    assert abs((since(start) or 0) - 32 * MIB) < 2 * MIB
    del tensor
    assert (since(start) or 0) < 2 * MIB


@pytest.mark.parametrize(("name", "counted"), [("model.gguf", 16), ("rows.jsonl", 0)])
def test_of_mapped_files_those_of_weights_count_once_they_are_read(
    tmp_path: Path, name: str, counted: int
) -> None:
    (tmp_path / name).write_bytes(bytes(16 * MIB))
    start = held()
    with open(tmp_path / name, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        np.frombuffer(mapped, np.uint8).sum()
        assert abs((since(start) or 0) - counted * MIB) < MIB
        mapped.close()
    assert (since(start) or 0) < MIB


def test_the_logits_of_the_last_positions_keep_no_others(tiny_llama: Path) -> None:
    engine = TorchEngine(load_model(tiny_llama, dtype=torch.float32, device="cpu"))
    (seen,) = engine.logits([np.arange(40)], 8)
    assert seen.shape[0] == 8 and seen.base is None
