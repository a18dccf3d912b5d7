"""Our LoRA layer against peft's own: outputs and gradients, and peft's way wherever something else
than the change is at work.
"""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tunesmith.models.adapters.layers import lora
from tunesmith.models.adapters.layers.lora import FusedLinear, fuse


def pair(*, biases: bool = True, **settings: object) -> tuple[torch.nn.Module, torch.nn.Module]:
    """peft's model of two layers with a random change, and its fused copy."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 10, bias=biases), torch.nn.Tanh(), torch.nn.Linear(10, 4, bias=biases)
    )
    plain = get_peft_model(
        net, LoraConfig(r=3, lora_alpha=7, target_modules=["0", "2"], **settings)
    )  # type: ignore[arg-type]
    for name, weight in plain.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    fused = copy.deepcopy(plain)
    fuse(fused)
    return plain, fused


def how_many(model: torch.nn.Module) -> int:
    return sum(isinstance(part, FusedLinear) for part in model.modules())


@pytest.mark.parametrize("biases", [True, False])
def test_outputs_and_gradients_are_pefts(biases: bool) -> None:
    plain, fused = pair(biases=biases)
    assert how_many(fused) == 2
    x = torch.randn(2, 5, 6, dtype=torch.float32, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    plain(x).square().sum().backward()
    fused(y).square().sum().backward()
    torch.testing.assert_close(fused(y), plain(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(y.grad, x.grad, rtol=1e-5, atol=1e-5)
    names = 0
    for (name, ours), (same, theirs) in zip(
        fused.named_parameters(), plain.named_parameters(), strict=True
    ):
        assert name == same
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-5)
            names += 1
    assert names == 4


def test_the_gradient_is_that_of_the_function() -> None:
    _, fused = pair()
    layer = fused.double().get_submodule("base_model.model.0")
    assert torch.autograd.gradcheck(
        layer, torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    )


def test_peft_goes_on_where_the_adapter_is_off_or_merged() -> None:
    plain, fused = pair()
    x = torch.randn(5, 6)
    with plain.disable_adapter(), fused.disable_adapter():
        assert torch.equal(fused(x), plain(x))
    expected = fused(x)
    torch.testing.assert_close(fused.merge_and_unload()(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}]
)
def test_what_is_more_than_plain_stays_pefts(settings: dict[str, object]) -> None:
    assert how_many(pair(**settings)[1]) == 0


def test_biases_that_are_trained_get_their_gradient() -> None:
    _, fused = pair(bias="all")
    fused(torch.randn(5, 6)).sum().backward()
    biases = [weight for name, weight in fused.named_parameters() if "bias" in name]
    assert biases and all(weight.grad is not None for weight in biases)


def test_half_precision_stays_pefts() -> None:
    plain, fused = pair()
    plain, fused = plain.bfloat16(), fused.bfloat16()
    for model in (plain, fused):
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.data = weight.data.float()
    x = torch.randn(5, 6, dtype=torch.bfloat16)
    assert torch.equal(fused(x), plain(x))


def test_under_autocast_it_is_no_less_exact_than_pefts(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a GPU: the base in bf16, what is trained in fp32, and a LayerNorm's fp32 as input.
    plain, fused = pair()
    calls: list[torch.dtype] = []
    real = lora._Lora.apply
    monkeypatch.setattr(lora._Lora, "apply", lambda x, *a: (calls.append(x.dtype), real(x, *a))[1])
    x = torch.randn(64, 6)
    exact = copy.deepcopy(plain)
    for model in (plain, fused):
        for name, weight in model.named_parameters():
            if "lora_" not in name:
                weight.data = weight.data.bfloat16()

    def found(model: torch.nn.Module, mixed: bool) -> list[torch.Tensor]:
        y = x.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            out = model(y)
        out.float().square().sum().backward()
        trained = [weight for name, weight in model.named_parameters() if "lora_" in name]
        assert all(
            weight.grad is not None and weight.grad.dtype == weight.dtype for weight in trained
        )
        return [out.detach().float(), y.grad, *(weight.grad for weight in trained)]  # type: ignore[list-item]

    wanted, theirs, ours = found(exact, False), found(plain, True), found(fused, True)
    assert len(calls) == 2 and calls[0] == torch.float32
    for right, usual, own in zip(wanted, theirs, ours, strict=True):
        assert (own - right).norm() <= 1.3 * (usual - right).norm() + 1e-3 * right.norm()


def test_a_base_in_another_type_than_autocasts_stays_pefts(monkeypatch: pytest.MonkeyPatch) -> None:
    _, fused = pair()
    monkeypatch.setattr(lora._Lora, "apply", lambda *_: pytest.fail("the base would be copied"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fused(torch.randn(3, 6)).sum().backward()
