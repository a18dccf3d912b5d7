"""The loss that spreads tokens over experts: transformers' own for mixtures, once for each owner of
a token, none for padding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from material import runs
from material.adapted import applied, stepped
from material.mixtures import mixture
from material.sequences import sequences
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.models.adapters.layers.experts import routed
from tunesmith.models.calling.routing import Routers, balance
from tunesmith.models.calling.views import token_loss
from tunesmith.settings.family import METHODS
from tunesmith.training.start import train

MIXTURES = ["mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss"]


@pytest.mark.parametrize("name", MIXTURES)
def test_the_router_loss_of_one_sequence_is_that_of_transformers(name: str) -> None:
    model = mixture(name)
    routers = Routers(model)
    batch = Batch.grow(sequences()[2:])
    model.train()
    token_loss(model, batch)
    ours = float(routers.penalty(batch)) / batch.units
    ids = batch.input_ids
    with torch.no_grad():
        theirs = [
            model(input_ids=ids, labels=ids, use_cache=False, output_router_logits=given).loss
            for given in (True, False)
        ]
    assert ours == pytest.approx(float(theirs[0] - theirs[1]), rel=1e-4) and ours > 0.1
    assert routers.penalty(batch) == 0.0, "a forward counts once"


def alone(model: Any, method: Any, batch: Batch) -> float:
    total = 0.0
    for example in batch.sequences:
        for tokens in example:
            one = Batch.grow([[tokens]])
            token_loss(model, one)
            total += method.penalty(one).item()
    return total


@pytest.mark.parametrize("kind", ["moe_lora", "mixtral"])
def test_forest_and_padding_and_one_by_one_give_one_balance(kind: str) -> None:
    if kind == "moe_lora":
        method, model = applied({"name": "moe_lora", "rank": 4, "balance": 0.5})
        stepped(method, model, steps=3)
    else:
        model = mixture(kind)
        method = Routers(model)
    model.train()
    batch = Batch.grow(sequences(5))
    assert len(batch.ids_T) < sum(len(tokens) for example in batch.sequences for tokens in example)
    found, metrics = [], []
    for laid in (batch, batch.padded()):
        token_loss(model, laid)
        found.append(method.penalty(laid).item())
        metrics.append({name: ratio.value for name, ratio in method.metrics().items()})
    assert found[0] == pytest.approx(found[1], rel=1e-5) and found[0] == pytest.approx(
        alone(model, method, batch), rel=1e-5
    )
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-5)
    if kind == "moe_lora":
        shares = [value for name, value in metrics[0].items() if name.startswith("expert_")]
        assert len(shares) == 4 and sum(shares) == pytest.approx(1)


def test_a_layer_that_reads_one_vector_a_sequence_has_no_tokens_to_spread() -> None:
    from material.outside import outside

    method = METHODS.make(
        METHODS.config({"name": "moe_lora", "rank": 2, "targets": "query, bert.pooler.dense"})
    )
    model = method.apply(outside("bert").requires_grad_(False)).train()
    batch = Batch.grow(sequences()).padded()
    mask = batch.mask_T.view(batch.layout.rows, batch.layout.length)
    model(input_ids=batch.input_ids, attention_mask=mask)
    assert method.penalty(batch).item() > 0
    assert [name.rpartition(".")[2] for name in method.at_end()["experts"]] == ["query", "query"]


def test_the_balance_by_hand() -> None:
    # Two tokens of one sequence, three experts, one choice a token: both go to expert 0.
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]])
    tokens = Tokens(np.array([1, 2], np.int32), np.array([0, 2], np.float32))
    total, counts = balance([routed(probs.log(), 1)], Batch.grow([[tokens]]))
    assert float(total) == pytest.approx(2 * 3 * (1.0 * 0.6)), (
        "weighted by the sequence's two units"
    )
    assert counts.tolist() == [[2, 0, 0]]


def test_every_token_belongs_to_its_sequence_and_padding_to_none() -> None:
    batch = Batch.grow(sequences())
    told = [tokens.ids_T.tolist() for example in batch.sequences for tokens in example]
    for laid in (batch, batch.padded()):
        index_M, owner_M = laid.members()
        assert [laid.ids_T[index_M[owner_M == row]].tolist() for row in range(len(told))] == told


@pytest.mark.parametrize("unit", ["token", "sequence", "example"])
def test_units_of_sequences_add_up_to_those_of_the_batch(unit: str) -> None:
    batch = Batch.grow(sequences(), unit=unit)
    assert (
        float(batch.units_B.sum())
        == pytest.approx(batch.units)
        == pytest.approx(float(batch.padded().units_B.sum()))
    )


@pytest.mark.parametrize("case", ["moe_lora", "experts"])
def test_a_step_is_the_same_however_it_is_cut(case: str, tiny_llama: Path, tmp_path: Path) -> None:
    settings = {
        "train.steps": 1,
        "train.warmup": 0,
        "train.clip": 0,
        "train.schedule": "constant",
        "train.learning_rate": 1.0,
    }
    settings |= {
        "train.optimizer": {"name": "sgd", "momentum": 0},
        "method": {"name": case, "balance": 0.5},
    }
    saved = []
    for micro_tokens, weight in ((1, 0.5), (100_000, 0.5), (1, 0.0)):
        settings |= {
            "train.micro_tokens": micro_tokens,
            "method": {"name": case, "balance": weight},
        }
        one = runs.resolved(tmp_path / f"{micro_tokens}-{weight}", tiny_llama, **settings)
        folder = train(one, runs.data_of(one, watch=8))
        saved.append(load_file(next(folder.model.glob("*.safetensors"))))
        line = next(line for line in folder.steps() if "loss" in line)
        assert ("balance" if case == "moe_lora" else "router_loss") in line or not weight
    for name, weights in saved[0].items():
        torch.testing.assert_close(weights, saved[1][name], rtol=1e-4, atol=1e-5)
    assert any(
        not torch.allclose(weights, saved[2][name], atol=1e-4) for name, weights in saved[0].items()
    ), "no effect"


@pytest.mark.parametrize("name", MIXTURES)
def test_lora_resolves_its_targets_on_a_mixture(name: str) -> None:
    model = METHODS.make(METHODS.config({"name": "lora", "rank": 4})).apply(mixture(name))
    changed = {
        layer.rpartition(".")[2] for layer, part in model.named_modules() if hasattr(part, "lora_A")
    }
    shared = {"gate_proj", "up_proj", "down_proj"} if name == "qwen2_moe" else set()
    assert changed == {"q_proj", "k_proj", "v_proj", "o_proj"} | shared
