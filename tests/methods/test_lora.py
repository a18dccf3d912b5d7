"""LoRA equals its formula, trains only what it says in fp32, and answers wrong targets with what
there is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from material import runs
from material.architectures import tiny
from tunesmith.batches.batch import Batch
from tunesmith.errors import SpecError
from tunesmith.models.adapters import beside_base
from tunesmith.models.adapters.attach import attach
from tunesmith.models.calling.views import see
from tunesmith.models.loading.load import load_model
from tunesmith.settings.family import METHODS, OPTIMIZERS
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.optimizers import split_by_rate
from tunesmith.training.start import train
from tunesmith.words import use


def method(**settings: Any) -> Any:
    return METHODS.make(METHODS.config({"name": "lora", **settings}))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(12)[None], use_cache=False).logits


def stir(model: Any) -> None:
    """Moves the adapter off its start, at which it changes nothing."""
    torch.manual_seed(1)
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.05)


def test_it_is_the_base_plus_alpha_over_rank_times_b_a() -> None:
    base = tiny("llama")
    plain = logits(base)
    model = method(rank=4, alpha=12, targets=["q_proj", "down_proj"]).apply(tiny("llama"))
    assert torch.equal(logits(model), plain)
    stir(model)
    parts = dict(base.named_modules())
    for name, layer in model.base_model.model.named_modules():
        if type(layer).__name__.endswith("Linear") and hasattr(layer, "lora_A"):
            change = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
            parts[name].weight.data += 12 / 4 * change
    torch.testing.assert_close(logits(model), logits(base), rtol=1e-4, atol=1e-4)


def test_alpha_is_twice_the_rank_by_default() -> None:
    model = method(rank=4).apply(tiny("llama"))
    assert model.peft_config["default"].lora_alpha == 8


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen2", "phi3"])
def test_all_linear_leaves_out_the_head_and_nothing_else(name: str) -> None:
    model = method(rank=4).apply(tiny(name))
    changed = {layer for layer, part in model.named_modules() if hasattr(part, "lora_A")}
    assert changed and not any("lm_head" in layer for layer in changed)
    trainable = {layer for layer, weight in model.named_parameters() if weight.requires_grad}
    assert trainable and all("lora_" in layer for layer in trainable)


def test_trained_weights_are_fp32_whatever_the_base() -> None:
    model = method().apply(tiny("llama").to(torch.bfloat16))
    types = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    assert types == {torch.float32}
    assert {weight.dtype for weight in model.parameters() if not weight.requires_grad} == {
        torch.bfloat16
    }


def test_targets_are_names_ends_or_patterns() -> None:
    model = method(rank=4, targets=r"q_proj, model\.layers\.1\.mlp\..*").apply(tiny("llama"))
    changed = {
        layer.removeprefix("base_model.model.")
        for layer, part in model.named_modules()
        if hasattr(part, "lora_A")
    }
    mlp = {f"model.layers.1.mlp.{part}_proj" for part in ("gate", "up", "down")}
    assert changed == {"model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"} | mlp


def test_a_target_that_matches_nothing_lists_what_there_is() -> None:
    use("en")
    with pytest.raises(SpecError) as caught:
        method(targets=["q_projj", "v_proj", "xyz"]).apply(tiny("llama"))
    message = str(caught.value)
    assert "2 problems" in message
    assert (
        "method.targets: 'q_projj' matches no linear layer (did you mean 'q_proj'?); this model "
        "has: q_proj (2), k_proj (2)" in message
    )
    assert "'xyz' matches no linear layer; this model has" in message


def test_a_rank_above_the_layer_is_refused() -> None:
    use("en")
    with pytest.raises(
        SpecError, match=r"method.rank: 40 is larger than these layers: k_proj 32×64, v_proj 32×64"
    ):
        method(rank=40).apply(tiny("llama"))


def test_plain_peft_loads_what_is_saved(tmp_path: Path) -> None:
    from peft import PeftModel

    model = method(rank=4).apply(tiny("llama"))
    stir(model)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(
        logits(PeftModel.from_pretrained(tiny("llama"), tmp_path)), logits(model)
    )


def test_full_trains_everything_in_fp32() -> None:
    model = METHODS.make(METHODS.config("full")).apply(
        tiny("llama").to(torch.bfloat16).requires_grad_(False)
    )
    assert all(
        weight.requires_grad and weight.dtype == torch.float32 for weight in model.parameters()
    )


def of_run(tmp_path: Path, folder: Path, **settings: Any) -> RunFolder:
    """The folder of a finished tiny run."""
    torch.set_num_threads(1)  # children are forked
    one = runs.resolved(tmp_path / "run", folder, **settings)
    assert runs.in_child(lambda: train(one, runs.data_of(one, watch=8))) == 0
    return RunFolder(tmp_path / "run")


def test_lora_plus_groups_are_those_of_peft_and_b_moves_by_the_ratio() -> None:
    from peft.optimizers import create_loraplus_optimizer

    ours = method(rank=4, plus_ratio=16, variant="dora")
    model = ours.apply(tiny("llama"))
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    optimizer = OPTIMIZERS.make(OPTIMIZERS.config("sgd")).build(named, 1e-3, 0.1)
    split_by_rate(optimizer, named, ours.rate_factor)
    theirs = create_loraplus_optimizer(
        model, torch.optim.SGD, lr=1.0, loraplus_lr_ratio=16.0, loraplus_weight_decay=0.1
    )
    names = {weight: name for name, weight in named}
    wanted = {
        names[weight]: group["lr"] for group in theirs.param_groups for weight in group["params"]
    }
    assert {
        names[weight]: group["rate_factor"]
        for group in optimizer.param_groups
        for weight in group["params"]
    } == wanted
    assert set(wanted.values()) == {1.0, 16.0}


@pytest.mark.slow  # 2 s
def test_lora_plus_reaches_the_weights_in_a_run(tiny_llama: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    common: dict[str, Any] = {
        "train.steps": 1,
        "train.warmup": 0,
        "train.clip": 0,
        "train.schedule": "constant",
    }
    common |= {"train.optimizer": {"name": "sgd", "momentum": 0}, "train.learning_rate": 0.5}
    moved = []
    for ratio in (1, 8):
        settings = {"method": {"rank": 4, "dropout": 0, "plus_ratio": ratio}, **common}
        found = load_file(
            of_run(tmp_path / str(ratio), tiny_llama, **settings).model
            / "adapter_model.safetensors"
        )
        moved.append({name: weight for name, weight in found.items() if "lora_B" in name})
    assert moved[0]
    for name, weight in moved[0].items():
        torch.testing.assert_close(moved[1][name], 8 * weight, rtol=1e-4, atol=1e-7)
        assert weight.abs().max() > 0


def test_layers_have_ranks_and_alphas_of_their_own(tmp_path: Path) -> None:
    from peft import PeftModel

    layers = {"ranks": {"v_proj": 2, r"model\.layers\.1\..*": 3}, "alphas": {"down_proj": 5.0}}
    model = method(rank=4, **layers).apply(tiny("llama"))
    found = {}
    for name, part in model.base_model.model.named_modules():
        if hasattr(part, "lora_A"):
            found[name.partition("layers.")[2]] = (part.r["default"], part.lora_alpha["default"])
    assert found["0.self_attn.v_proj"] == found["1.self_attn.v_proj"] == (2, 4), (
        "the first pattern that matches counts"
    )
    assert found["0.self_attn.q_proj"] == (4, 8) and found["1.self_attn.q_proj"] == (3, 6)
    assert found["0.mlp.down_proj"] == (4, 5.0) and found["1.mlp.down_proj"] == (3, 5.0)
    stir(model)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(
        logits(PeftModel.from_pretrained(tiny("llama"), tmp_path)), logits(model)
    )


def test_pissa_keeps_ranks_of_their_own_when_it_is_saved(tmp_path: Path) -> None:
    from peft import PeftModel

    ours = method(
        rank=4, init="pissa", variant="rslora", ranks={"v_proj": 2}, alphas={"q_proj": 3.0}
    )
    model = ours.apply(tiny("llama"))
    stir(model)
    ours.save(model, tmp_path)
    torch.testing.assert_close(
        logits(PeftModel.from_pretrained(tiny("llama"), tmp_path)),
        logits(model),
        rtol=1e-4,
        atol=1e-4,
    )


def test_patterns_that_match_nothing_and_ranks_that_do_not_fit_are_refused() -> None:
    use("en")
    with pytest.raises(
        SpecError,
        match=r"method.ranks: 'v_porj' matches no linear layer \(did you mean 'v_proj'\?\)",
    ):
        method(ranks={"v_porj": 2}).apply(tiny("llama"))
    with pytest.raises(
        SpecError,
        match=r"method.alphas: 'q_proj' matches no linear layer .*; this model has: v_proj \(2\)",
    ):
        method(rank=4, targets="v_proj", alphas={"q_proj": 2.0}).apply(tiny("llama"))
    with pytest.raises(
        SpecError, match=r"method.rank: 40 is larger than these layers: v_proj 32×64"
    ):
        method(rank=4, ranks={"v_proj": 40}).apply(tiny("llama"))


@pytest.mark.parametrize(("bias", "count"), [("all", 6), ("lora_only", 4)])
def test_biases_are_trained_saved_and_merged_and_leave_no_base_behind(
    bias: Any, count: int, tmp_path: Path
) -> None:
    ours = method(rank=4, bias=bias, targets="q_proj,v_proj")
    model = ours.apply(tiny("qwen2").requires_grad_(False))
    stir(model)
    trained = [
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and "lora_" not in name
    ]
    assert len(trained) == count and all(name.endswith("bias") for name in trained)
    wanted = logits(model)
    with model.disable_adapter():
        off = logits(model)
    assert (off - logits(tiny("qwen2"))).abs().max() > 1e-4 and ours.rewrites_base, (
        "who needs the base loads it"
    )
    ours.save(model, tmp_path)
    torch.testing.assert_close(
        logits(attach(tiny("qwen2"), tmp_path)), wanted, rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(logits(beside_base.merge(model)), wanted, rtol=1e-4, atol=1e-4)


def test_biases_that_are_not_there_are_refused() -> None:
    for model, bias, targets in (("llama", "all", "all-linear"), ("qwen2", "lora_only", "o_proj")):
        with pytest.raises(
            SpecError, match=f"method.bias: this model has no biases where {bias} looks for them"
        ):
            method(rank=4, bias=bias, targets=targets).apply(tiny(model))


@pytest.mark.slow  # 2 s
def test_eva_starts_at_the_directions_that_peft_finds(tiny_llama: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import EvaConfig
    from peft.tuners.lora.eva import get_eva_state_dict

    one = runs.resolved(tiny_llama / "unused", tiny_llama)
    items = [item.tokens for item in runs.data_of(one).train]
    together, apart = [Batch.grow(items, share=False)], [Batch.grow([item]) for item in items]
    found = []
    for batches in (together, apart):
        ours = method(rank=4, init="eva", targets=["q_proj", "down_proj"])
        model = ours.apply(load_model(tiny_llama, dtype=torch.float32, device="cpu").model)
        ours.study(model, batches)
        parts = {
            name: part
            for name, part in model.base_model.model.named_modules()
            if hasattr(part, "lora_A")
        }
        found.append({name: part.lora_A["default"].weight.detach() for name, part in parts.items()})
        assert all(part.lora_B["default"].weight.abs().max() == 0 for part in parts.values()), (
            "step 0 changes nothing"
        )
    config = LoraConfig(
        r=4,
        target_modules=["q_proj", "down_proj"],
        init_lora_weights="eva",
        eva_config=EvaConfig(rho=1.0),
    )
    wanted = get_eva_state_dict(
        get_peft_model(load_model(tiny_llama, dtype=torch.float32, device="cpu").model, config),
        together,
        forward_fn=see,
        prepare_model_inputs_fn=lambda batch, _: batch,
        prepare_layer_inputs_fn=lambda layer_input, *_: layer_input[0].reshape(
            -1, layer_input[0].shape[-1]
        ),
        show_progress_bar=False,
    )
    assert len(wanted) == len(found[0]) == 4
    for name, their_RD in wanted.items():
        whole_RD, pieces_RD = (one[name.removeprefix("base_model.model.")] for one in found)
        torch.testing.assert_close(whole_RD @ whole_RD.T, torch.eye(4), rtol=1e-4, atol=1e-4)
        assert (whole_RD * their_RD).sum(1).abs().min() > 0.99, (
            name
        )  # peft follows fewer directions
        # Seen in pieces, whose last directions turn, the space is nearly the same.
        assert (
            torch.linalg.svdvals(pieces_RD.double() @ their_RD.double().T).square().mean() > 0.85
        ), name


def test_eva_needs_enough_tokens() -> None:
    use("en")
    ours = method(rank=16, init="eva")
    with pytest.raises(
        SpecError, match=r"method.init: eva needs a micro-batch of at least 32 tokens"
    ):
        ours.study(ours.apply(tiny("llama")), [])


@pytest.mark.slow  # 7 s
def test_a_run_with_eva_that_was_killed_ends_alike(tiny_llama: Path, tmp_path: Path) -> None:
    settings = {
        "method": {
            "rank": 4,
            "dropout": 0.1,
            "init": "eva",
            "plus_ratio": 4,
            "ranks": {"v_proj": 2},
        }
    }
    whole = of_run(tmp_path / "a", tiny_llama, **settings)
    one = runs.resolved(tmp_path / "b", tiny_llama, **settings)
    prepared = runs.data_of(one, watch=8)
    die = lambda line: os._exit(9) if line["step"] == 5 and "loss" in line else None  # noqa: E731
    assert runs.in_child(lambda: train(one, prepared, events=runs.on_step(die))) == 9
    assert runs.in_child(lambda: train(one, prepared, resume=True)) == 0
    assert runs.weights(RunFolder(tmp_path / "b").model) == runs.weights(whole.model)
