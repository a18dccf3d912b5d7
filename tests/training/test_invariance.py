"""On real rows and eight layers of the starter model: layout, sharing and accumulation change nothing in loss and
adapter gradient.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.data.rendering.render import Render
from tunesmith.examples import Chat, Turn
from tunesmith.models.calling.views import token_loss
from tunesmith.models.loading.load import load_model
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import Data

pytestmark = pytest.mark.starter


@pytest.fixture(scope="module")
def starter() -> Any:
    """The starter model with a LoRA moved off its start, at which half of the gradient is zero."""
    from tunesmith.models.finding.hub import find_model

    loaded = load_model(find_model("starter"), dtype=torch.float32, device="cpu")
    assert loaded.layout == "forest", loaded.reasons
    # All thirty took 31 s, and say nothing that eight do not.
    loaded.model.model.layers = loaded.model.model.layers[:8]
    torch.manual_seed(0)
    loaded.model = METHODS.make(METHODS.config({"name": "lora", "rank": 8})).apply(loaded.model)
    for name, weight in loaded.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    return loaded


@pytest.fixture(scope="module")
def rows(starter: Any, shared_data: Path) -> list[list[Tokens]]:
    """Four real reviews under one instruction, of unequal length."""
    render = Render(starter.tokenizer, Data(path="rows"))
    lines = (shared_data / "chinese_reviews" / "pos.txt").read_text(encoding="utf-8").splitlines()
    question = "判断下面这条评论是正面还是负面，只回答一个词。\n"
    return [
        render.chat(Chat((Turn("user", question + line), Turn("assistant", "正面"))))
        for line in lines
        if len(line) < 25
    ][:4]


def gradient(model: Any, batches: list[Batch]) -> tuple[float, torch.Tensor]:
    """Loss per unit of the whole step, and the gradient as the loop forms it: one sum, one count,
    one division.
    """
    model.zero_grad()
    units = sum(batch.units for batch in batches)
    total = 0.0
    for batch in batches:
        loss = token_loss(model, batch)
        (loss.total / units).backward()
        total += float(loss.total.detach())
    return total / units, torch.cat(
        [weight.grad.flatten() for weight in model.parameters() if weight.requires_grad]
    )


def same(ours: tuple[float, torch.Tensor], theirs: tuple[float, torch.Tensor]) -> None:
    assert abs(ours[0] - theirs[0]) <= 1e-5 * abs(theirs[0])
    assert float((ours[1] - theirs[1]).norm() / theirs[1].norm()) <= 1e-4


def test_forest_flat_padded_and_micro_batches_agree(starter: Any, rows: list[list[Tokens]]) -> None:
    forest = Batch.grow(rows)
    flat = Batch.grow(rows, share=False)
    assert forest.layout.length < 0.8 * flat.layout.length, "the rows share their instruction"
    reference = gradient(starter.model, [forest])
    assert reference[1].norm() > 0
    same(gradient(starter.model, [flat]), reference)
    same(gradient(starter.model, [forest.padded()]), reference)
    same(gradient(starter.model, [Batch.grow([row]) for row in rows]), reference)
    same(
        gradient(starter.model, [Batch.grow(rows[start : start + 2]) for start in (0, 2)]),
        reference,
    )


def test_the_loss_is_the_plain_models_own(starter: Any, rows: list[list[Tokens]]) -> None:
    batch = Batch.grow(rows)
    with torch.no_grad():
        ours = float(token_loss(starter.model, batch).total) / batch.units
    total, count = 0.0, 0
    for (tokens,) in rows:
        ids = torch.tensor(tokens.ids_T.tolist())[None]
        labels = torch.where(torch.tensor(tokens.weights_T)[None] > 0, ids, -100)
        scored = int((labels[:, 1:] != -100).sum())
        with torch.no_grad():
            total += (
                float(starter.model(input_ids=ids, labels=labels, use_cache=False).loss) * scored
            )
        count += scored
    assert abs(ours - total / count) <= 1e-5 * ours


def test_the_stop_token_is_trained(starter: Any, rows: list[list[Tokens]]) -> None:
    end = starter.tokenizer.convert_tokens_to_ids("<|im_end|>")
    for (tokens,) in rows:
        assert tokens.ids_T[tokens.weights_T > 0][-1] == end
    assert json.dumps(starter.tokenizer.eos_token) == '"<|im_end|>"'
