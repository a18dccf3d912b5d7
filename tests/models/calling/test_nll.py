"""The likelihood with one copy of the logits is torch's own, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from tunesmith.models.calling.nll import nll


@pytest.mark.parametrize("heights", [1.0, 30.0, 1e4])
def test_it_equals_cross_entropy(heights: float) -> None:
    torch.manual_seed(0)
    logits_nV = heights * torch.randn(7, 50)
    logits_nV[:, -3:] = -torch.inf  # as of a vocabulary that is padded
    targets_n, weights_n = torch.randint(0, 47, (7,)), torch.rand(7)
    weights_n[2] = 0
    found = []
    for function in (nll, lambda *given: cross_entropy(*given, reduction="none")):
        leaf = logits_nV.clone().requires_grad_()
        values_n = function(leaf, targets_n)
        (grad,) = torch.autograd.grad((weights_n * values_n).sum(), leaf)
        found.append((values_n, grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_logits_stay_and_a_second_backward_is_refused() -> None:
    logits_nV = torch.randn(3, 9, requires_grad=True)
    before = logits_nV.detach().clone()
    total = nll(logits_nV, torch.tensor([0, 4, 8])).sum()
    total.backward(retain_graph=True)
    assert logits_nV.detach().equal(before)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()
    assert nll(logits_nV[:0], torch.tensor([], dtype=torch.long)).shape == (0,)
