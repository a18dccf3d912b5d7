from __future__ import annotations

from typing import Any

import pytest
import torch

from tunesmith.settings.family import OPTIMIZERS
from tunesmith.training.optimizers import groups, split_by_rate
from tunesmith.training.optimizers._orthogonal import orthogonalised


def named(**shapes: tuple[int, ...]) -> list[tuple[str, torch.nn.Parameter]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (name, torch.nn.Parameter(torch.randn(shape, generator=generator)))
        for name, shape in shapes.items()
    ]


def built(
    name: str, parameters: list[tuple[str, torch.nn.Parameter]], decay: float = 0.0, **settings: Any
) -> torch.optim.Optimizer:
    return OPTIMIZERS.make(OPTIMIZERS.config({"name": name, **settings})).build(
        parameters, 0.1, decay
    )


def test_decay_is_on_matrices_only():
    found = groups(named(matrix=(3, 2), bias=(3,)), 0.5)
    assert [(len(group["params"]), group["weight_decay"]) for group in found] == [
        (1, 0.5),
        (1, 0.0),
    ]


def test_the_first_adamw_step_is_the_sign_of_the_gradient_after_decay():
    ((_, weight),) = parameters = named(matrix=(3, 2))
    before = weight.detach().clone()
    weight.grad = torch.tensor([[1.0, -2.0], [3.0, -4.0], [5.0, -6.0]])
    optimizer = built("adamw", parameters, decay=0.5)
    assert optimizer.defaults["fused"]
    optimizer.step()
    assert torch.allclose(weight, before * (1 - 0.1 * 0.5) - 0.1 * weight.grad.sign(), atol=1e-6)


def test_sgd_with_momentum_adds_up():
    ((_, weight),) = parameters = named(matrix=(2, 2))
    before = weight.detach().clone()
    optimizer = built("sgd", parameters, momentum=0.5)
    for _ in range(2):
        weight.grad = torch.ones(2, 2)
        optimizer.step()
    assert torch.allclose(weight, before - 0.1 * (1 + 1.5), atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (4, 16), (16, 4)])
def test_muon_moves_a_matrix_by_a_nearly_orthogonal_one(shape):
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    singular = torch.linalg.svdvals(orthogonalised(gradient, 5))
    assert singular.min() > 0.6 and singular.max() < 1.3
    ((_, weight),) = parameters = named(weight=shape)
    before, weight.grad = weight.detach().clone(), gradient
    built("muon", parameters, iterations=5).step()
    expected = orthogonalised(gradient, 5) * 0.2 * max(shape) ** 0.5
    # Nesterov momentum of the first step is a multiple of the gradient, which orthogonalising
    # forgets.
    assert torch.allclose((before - weight) / 0.1, expected, atol=2e-2)


def test_muon_leaves_embeddings_and_vectors_to_adamw():
    parameters = named(**{"model.embed_tokens.weight": (5, 4), "norm.weight": (4,)})
    theirs = [
        (name, torch.nn.Parameter(parameter.detach().clone())) for name, parameter in parameters
    ]
    muon, adamw = built("muon", parameters, 0.1), built("adamw", theirs, 0.1)
    generator = torch.Generator().manual_seed(3)
    for _ in range(3):
        for (_, one), (_, other) in zip(parameters, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        muon.step()
        adamw.step()
    for (name, one), (_, other) in zip(parameters, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6), name


def test_every_optimizer_goes_downhill():
    target = torch.randn(6, 4, generator=torch.Generator().manual_seed(4))
    for name in OPTIMIZERS.names():
        parameters = named(weight=(6, 4))
        optimizer = built(name, parameters)
        losses = []
        for _ in range(40):
            loss = (parameters[0][1] - target).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.5 * losses[0], name


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit"])
def test_eight_bit_adamw_goes_nearly_as_adamw_does_and_small_tensors_just_as(name: str):
    parameters, theirs = named(large=(64, 128), small=(8, 8)), named(large=(64, 128), small=(8, 8))
    eight, full = built(name, parameters, 0.1), built("adamw", theirs, 0.1)
    generator = torch.Generator().manual_seed(5)
    for _ in range(5):
        for (_, one), (_, other) in zip(parameters, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        eight.step()
        full.step()
    (large, small), (large_, small_) = parameters, theirs
    torch.testing.assert_close(small[1], small_[1], rtol=1e-5, atol=1e-5)
    moved = large_[1].detach() - named(large=(64, 128), small=(8, 8))[0][1].detach()
    assert 1e-4 < float((large[1] - large_[1]).norm() / moved.norm()) < 0.1
    kept = sum(
        value.nbytes
        for value in eight.state[large[1]].values()
        if isinstance(value, torch.Tensor) and value.numel() > 256
    )
    assert kept == 2 * 64 * 128 and OPTIMIZERS.get(name).state_bytes < 2.1


def test_groups_are_split_by_the_method_and_the_loop_multiplies():
    parameters = named(**{"a.lora_A.weight": (4, 4), "a.lora_B.weight": (4, 4), "bias": (4,)})
    optimizer = built("adamw", parameters, 0.5)
    split_by_rate(optimizer, parameters, lambda name, _: 16.0 if "lora_B" in name else 1.0)
    found = [
        (len(group["params"]), group["weight_decay"], group["rate_factor"])
        for group in optimizer.param_groups
    ]
    assert found == [(1, 0.5, 1.0), (1, 0.5, 16.0), (1, 0.0, 1.0)]
