"""Methods equal to their formulas, where these are short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from material import runs
from material.adapted import applied, base, logits, stepped
from material.architectures import tiny
from material.sequences import sequences
from tunesmith.batches.batch import Batch
from tunesmith.settings.family import METHODS
from tunesmith.training.start import train


def parts(model: Any) -> dict[str, Any]:
    return dict(model.base_model.model.named_modules())


def test_ia3_scales_keys_values_and_the_inputs_of_the_second_feed_forward_layer() -> None:
    method, model = applied({"name": "ia3"})
    stepped(method, model)
    plain = base()
    changed = []
    for name, layer in parts(model).items():
        if type(layer).__name__ == "Linear" and "ia3_l" in dict(layer.named_children()):
            changed.append(name.rpartition(".")[2])
            # One scale for an output is a row, one for an input a column: shapes (out, 1) and (1,
            # in).
            plain.get_submodule(name).weight.data *= layer.ia3_l["default"].detach()
            assert layer.ia3_l["default"].shape[0 if name.endswith("down_proj") else 1] == 1
    assert sorted(changed) == sorted(["k_proj", "v_proj", "down_proj"] * 2)
    torch.testing.assert_close(logits(model), logits(plain), rtol=1e-4, atol=1e-4)


def test_adalora_is_p_lambda_q_and_its_term_is_pefts() -> None:
    method, model = applied({"name": "adalora", "rank": 4, "alpha": 12})
    stepped(method, model)
    plain = base()
    for name, layer in parts(model).items():
        if type(layer).__name__ == "SVDLinear":
            p, values, q = layer.lora_B["default"], layer.lora_E["default"], layer.lora_A["default"]
            plain.get_submodule(name).weight.data += (
                12 / 6 * p @ torch.diag(values[:, 0]) @ q
            ).detach()
    torch.testing.assert_close(logits(model), logits(plain), rtol=1e-4, atol=1e-3)

    batch = Batch.grow(sequences())
    ids = torch.arange(12)[None]
    inner = model.base_model.model
    with torch.no_grad():
        theirs = model(input_ids=ids, labels=ids).loss - inner(input_ids=ids, labels=ids).loss
        ours = method.penalty(batch) / batch.units
    assert float(ours) == pytest.approx(float(theirs), rel=1e-4) and float(ours) > 0.1


def test_adalora_ends_at_its_budget_and_says_where_the_rank_went() -> None:
    method, model = applied({"name": "adalora", "rank": 4})
    assert set(method.at_end()["ranks"].values()) == {0}, "nothing is learned yet"
    stepped(method, model, steps=20)
    ranks = method.at_end()["ranks"]
    assert len(ranks) == 14 and sum(ranks.values()) == 4 * 14 and max(ranks.values()) <= 6
    assert "model.layers.1.self_attn.v_proj" in ranks and len(set(ranks.values())) > 1


@pytest.mark.parametrize("micro_tokens", [1, 100_000])
def test_the_orthogonal_term_counts_once_a_step_however_the_step_is_cut(
    micro_tokens: int, tiny_llama: Path, tmp_path: Path
) -> None:
    settings = {
        "train.steps": 1,
        "train.warmup": 0,
        "train.clip": 0,
        "train.schedule": "constant",
        "train.learning_rate": 1.0,
    }
    settings |= {
        "train.optimizer": {"name": "sgd", "momentum": 0},
        "train.micro_tokens": micro_tokens,
    }
    saved = []
    for weight in (0.0, 0.5):
        method = {
            "name": "adalora",
            "rank": 4,
            "orthogonal": weight,
            "full_until": 0.9,
            "fixed_from": 0.95,
        }
        one = runs.resolved(tmp_path / str(weight), tiny_llama, **settings, method=method)
        folder = train(one, runs.data_of(one, watch=8))
        saved.append(load_file(folder.model / "adapter_model.safetensors"))
    # At the start Λ is 0, so that P and Q move by this term alone.
    start, moved = (
        {name: tensor for name, tensor in one.items() if "lora_E" not in name} for one in saved
    )
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    products = [
        leaf @ leaf.T if "lora_A" in name else leaf.T @ leaf for name, leaf in leaves.items()
    ]
    (0.5 * torch.stack([(one - torch.eye(len(one))).norm() for one in products]).mean()).backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(start[name] - moved[name], leaf.grad, rtol=1e-3, atol=1e-6)
        assert leaf.grad is not None and leaf.grad.abs().max() > 1e-4


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_adalora_takes_any_number_of_steps(steps: int) -> None:
    method, model = applied({"name": "adalora", "rank": 4})
    stepped(method, model, steps=steps)
    ranks = sum(method.at_end()["ranks"].values())
    # A single step has no scores of a step before, so that what is cut is not yet the whole budget.
    assert ranks == 4 * 14 if steps > 1 else 4 * 14 <= ranks <= 6 * 14


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_what_was_taken_out_of_the_base_is_put_back_on_a_machine_that_took_out_something_else(
    start: str,
) -> None:
    method, model = applied({"name": "lora", "rank": 4, "init": start})
    stepped(method, model)
    state, weights = (
        method.state(),
        {name: w.detach().clone() for name, w in model.named_parameters() if w.requires_grad},
    )
    other, continued = applied({"name": "lora", "rank": 4, "init": start})
    # Another sign and order of the singular vectors is as right as ours.
    for name, part in parts(continued).items():
        if "lora_A" in dict(part.named_children()):
            down, up = (f"base_model.model.{name}.{side}.weight" for side in ("lora_A", "lora_B"))
            old = other._start[up] @ other._start[down]
            other._start[up] = other._start[up] * 0.5
            part.base_layer.weight.data += part.scaling["default"] * (
                old - other._start[up] @ other._start[down]
            )
    other.load_state(state)
    with torch.no_grad():
        for name, weight in continued.named_parameters():
            if name in weights:
                weight.copy_(weights[name])
    torch.testing.assert_close(logits(continued), logits(model), rtol=1e-4, atol=1e-4)


def test_freeze_trains_the_last_blocks_or_what_is_named() -> None:
    def trained(**settings: Any) -> set[str]:
        model = METHODS.make(METHODS.config({"name": "freeze", **settings})).apply(
            tiny("llama").requires_grad_(False)
        )
        return {
            name.removeprefix("model.")
            for name, weight in model.named_parameters()
            if weight.requires_grad
        }

    assert {name.partition(".")[2][:1] for name in trained(last=1)} == {"1"}
    assert trained(parts="lm_head, model.norm") == {"lm_head.weight", "norm.weight"}
    assert {
        name.rpartition(".")[0] for name in trained(parts=r"model\.layers\.\d+\.self_attn\.v_proj")
    } == {
        "layers.0.self_attn.v_proj",
        "layers.1.self_attn.v_proj",
    }


def test_bitfit_trains_biases_and_norms() -> None:
    model = METHODS.make(METHODS.config("bitfit")).apply(tiny("gpt2").requires_grad_(False))
    trained = {
        name.rpartition("transformer.")[2]
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }
    assert (
        "h.0.attn.c_attn.bias" in trained
        and "h.1.ln_2.weight" in trained
        and "ln_f.bias" in trained
    )
    assert all(name.endswith("bias") or "ln_" in name for name in trained)
