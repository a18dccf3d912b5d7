"""LoRA on experts that lie in one tensor: each expert's own B A, saved and merged as anybody would
load it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from material.adapted import gradient, logits, same_gradient, stepped
from material.architectures import tiny
from material.mixtures import mixture
from material.sequences import sequences
from tunesmith.batches.batch import Batch
from tunesmith.errors import SpecError
from tunesmith.models.adapters import beside_base
from tunesmith.models.adapters.attach import attach
from tunesmith.models.calling.routing import Routers
from tunesmith.models.calling.views import token_loss
from tunesmith.settings.family import METHODS

MIXTURES = ["mixtral", "qwen3_moe"]
every = pytest.mark.parametrize("name", MIXTURES)


def made(name: str, **settings: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    method = METHODS.make(
        METHODS.config({"name": "lora", "rank": 4, "targets": "all-experts", **settings})
    )
    return method, method.apply(mixture(name))


def stacks(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.dim() == 3}


@every
def test_each_expert_gets_its_own_change_and_it_merges(name: str) -> None:
    method, model = made(name, targets="q_proj, all-experts", alpha=12)
    plain = mixture(name)
    torch.testing.assert_close(logits(model), logits(plain), rtol=1e-5, atol=1e-5)
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    stepped(method, model)
    trained = {key for key, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {
        key for key, weight in model.named_parameters() if not weight.equal(before[key])
    }
    assert any("q_proj" in key for key in trained) and all("lora_" in key for key in trained)
    wanted = logits(model)
    wrappers = [part for part in model.modules() if type(part).__name__ == "ParamWrapper"]
    assert len(wrappers) == len(stacks(plain)) == 4
    changes = []
    for part in wrappers:
        up_O, down_I = part.lora_B["default"].weight, part.lora_A["default"].weight
        # peft lays the ranks of an expert side by side in A, and the experts of a rank in B.
        experts = range(part.num_experts)
        changes.append(
            torch.stack(
                [
                    12 / 4 * up_O[:, e :: part.num_experts] @ down_I[4 * e : 4 * e + 4]
                    for e in experts
                ]
            )
        )
    merged = beside_base.merge(model)
    torch.testing.assert_close(logits(merged), wanted, rtol=1e-4, atol=1e-4)
    found = [weight - stacks(plain)[key] for key, weight in stacks(merged).items()]
    for own_change in found:
        assert any(
            one.shape == own_change.shape and torch.allclose(one, own_change, atol=1e-4)
            for one in changes
        )
        assert all(float(one.abs().max()) > 1e-3 for one in own_change), (
            "an expert that no token changed"
        )


@every
def test_it_is_saved_as_plain_peft_reads_it(name: str, tmp_path: Path) -> None:
    from peft import PeftModel

    method, model = made(name)
    stepped(method, model, steps=3)
    wanted = logits(model)
    method.save(model, tmp_path)
    for again in (attach(mixture(name), tmp_path), PeftModel.from_pretrained(tiny(name), tmp_path)):
        torch.testing.assert_close(logits(again), wanted, rtol=1e-5, atol=1e-5)
    with model.disable_adapter():
        torch.testing.assert_close(logits(model), logits(mixture(name)), rtol=1e-5, atol=1e-5)


@every
def test_layout_and_checkpointing_change_nothing_and_routers_are_balanced(name: str) -> None:
    method, model = made(name, targets=r".*experts\.down_proj")
    stepped(method, model, steps=3)
    batch = Batch.grow(sequences(7))
    flat = gradient(method, model, batch)
    same_gradient(flat, gradient(method, model, batch.padded()))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    same_gradient(flat, gradient(method, model, batch))
    routers = Routers(model)
    token_loss(model.train(), batch)
    penalty = routers.penalty(batch)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert any(
        float(part.abs().max()) > 0
        for part in torch.autograd.grad(penalty, trained, allow_unused=True)
        if part is not None
    )


def test_linear_targets_leave_experts_alone_and_the_plan_counts_them() -> None:
    _, model = made("qwen2_moe", targets="down_proj, shared_expert.up_proj")
    assert not [part for part in model.modules() if type(part).__name__ == "ParamWrapper"]
    _, model = made("mixtral")
    with torch.device("meta"):
        method = METHODS.make(METHODS.config({"name": "lora", "rank": 4, "targets": "all-experts"}))
        planned = method.apply(tiny("mixtral").requires_grad_(False).to("meta"))
    counts = [
        sum(weight.numel() for weight in one.parameters() if weight.requires_grad)
        for one in (model, planned)
    ]
    assert counts[0] == counts[1] > 0


WRONG = [
    (
        {"dropout": 0.1, "variant": "dora"},
        "method.variant: dora cannot be used with experts that share one tensor; use plain, rslora",
    ),
    ({"init": "pissa"}, "method.init: pissa cannot be used with experts"),
    ({"ranks": {"q_proj": 2}, "targets": "q_proj, all-experts"}, "method.ranks"),
    ({"rank": 90}, "90 is larger than these layers: model.layers.0.mlp.experts.down_proj 64×96"),
    (
        {"targets": "experts.gate_proj"},
        "'experts.gate_proj' matches no stack of experts.*gate_up_proj",
    ),
]


@pytest.mark.parametrize(("settings", "told"), WRONG, ids=lambda value: str(value)[:30])
def test_what_does_not_go_with_stacks_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        made("mixtral", **settings)


def test_a_model_without_experts_says_so() -> None:
    with pytest.raises(
        SpecError, match="'all-experts' matches no stack of experts; this model has: -"
    ):
        METHODS.make(METHODS.config({"name": "lora", "targets": "all-experts"})).apply(
            tiny("llama")
        )
