"""LoRA equals its formula, trains only what it says in fp32, and answers wrong targets with what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.architectures import tiny
from tunesmith.errors import SpecError
from tunesmith.spec import METHODS
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
    assert {weight.dtype for weight in model.parameters() if not weight.requires_grad} == {torch.bfloat16}


def test_targets_are_names_ends_or_patterns() -> None:
    model = method(rank=4, targets=r"q_proj, model\.layers\.1\.mlp\..*").apply(tiny("llama"))
    changed = {layer.removeprefix("base_model.model.") for layer, part in model.named_modules() if hasattr(part, "lora_A")}
    mlp = {f"model.layers.1.mlp.{part}_proj" for part in ("gate", "up", "down")}
    assert changed == {"model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"} | mlp


def test_a_target_that_matches_nothing_lists_what_there_is() -> None:
    use("en")
    with pytest.raises(SpecError) as caught:
        method(targets=["q_projj", "v_proj", "xyz"]).apply(tiny("llama"))
    message = str(caught.value)
    assert "2 problems" in message
    assert (
        "method.targets: 'q_projj' matches no linear layer (did you mean 'q_proj'?); this model has: q_proj (2), k_proj (2)"
        in message
    )
    assert "'xyz' matches no linear layer; this model has" in message


def test_a_rank_above_the_layer_is_refused() -> None:
    use("en")
    with pytest.raises(SpecError, match=r"method.rank: 40 is larger than these layers: k_proj 32×64, v_proj 32×64"):
        method(rank=40).apply(tiny("llama"))


def test_plain_peft_loads_what_is_saved(tmp_path: Path) -> None:
    from peft import PeftModel

    model = method(rank=4).apply(tiny("llama"))
    stir(model)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(logits(PeftModel.from_pretrained(tiny("llama"), tmp_path)), logits(model))


def test_full_trains_everything_in_fp32() -> None:
    model = METHODS.make(METHODS.config("full")).apply(tiny("llama").to(torch.bfloat16).requires_grad_(False))
    assert all(weight.requires_grad and weight.dtype == torch.float32 for weight in model.parameters())
