"""What a masked model expects at one position of each row is what it expects there by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from material.headed import encoder
from tunesmith.batches.batch import Tokens
from tunesmith.models.structure.masked import load_masked, logprobs_at


def test_the_position_asked_for_is_that_of_each_row_alone(tmp_path: Path) -> None:
    folder = encoder(tmp_path / "bert", cls="AutoModelForMaskedLM")
    model = load_masked(folder, device=torch.device("cpu"))
    rows = [[2, 7, 4, 9, 3], [2, 4, 3], [2, 11, 12, 13, 14, 4, 3]]
    places = [2, 1, 5]
    tokens = [Tokens(np.array(ids, np.int32), np.zeros(len(ids), np.float32)) for ids in rows]
    told = logprobs_at(model, tokens, places, pad_id=0)
    for row, (ids, place) in enumerate(zip(rows, places, strict=True)):
        with torch.no_grad():
            alone = model(input_ids=torch.tensor([ids])).logits[0, place].log_softmax(-1)
        assert torch.allclose(told[row], alone, atol=1e-5)
    # Nothing stays behind on the model: its head sees all positions again.
    assert model(input_ids=torch.tensor(rows[:1])).logits.shape[1] == len(rows[0])
