"""The Fisher information against closed forms, by enumeration over all labels, and against the
batch-gradient version, which is wrong.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from material.pairs import models
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.models.calling.views import see
from tunesmith.models.roles.start import Moving
from tunesmith.training.fisher import measured


def loaded(model: Any) -> Any:
    return SimpleNamespace(model=model, lay=lambda batch: batch.padded())


def sequences(count: int, seed: int = 0) -> list[Tokens]:
    """Short rows with one scored token each: the last."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        ids = draw.integers(5, 300, int(draw.integers(3, 8))).astype(np.int32)
        weights = np.zeros(len(ids), np.float32)
        weights[-1] = 1
        found.append(Tokens(ids, weights))
    return found


def head_alone(model: Any) -> list[Moving]:
    """The head's weight: with the trunk as it is, a softmax regression on the hidden state."""
    head = model.get_output_embeddings().weight
    return [Moving("head", head, lambda: torch.zeros_like(head))]


def probabilities(model: Any, rows: list[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each row p [n, K] and x [n, D]."""
    with torch.no_grad():
        seen = [see(model, Batch.grow([[one]]).padded()) for one in rows]
        x_nD = torch.cat([one.features("scored") for one in seen]).double()
        logits = torch.cat([one.head.logits(one.features("scored")) for one in seen])
    return logits.double().softmax(-1), x_nD


@pytest.fixture(scope="module")
def model() -> Any:
    policy, _ = models()
    torch.manual_seed(3)
    with torch.no_grad():  # far enough from even that the labels matter
        policy.get_output_embeddings().weight.mul_(20)
    return policy.eval()


def test_drawn_labels_give_the_closed_form_of_softmax_regression(model: Any) -> None:
    """F[k, d] = the mean over x of p_k (1 - p_k) x_d²; many draws come near it."""
    rows = sequences(1, seed=8)
    p_nK, x_nD = probabilities(model, rows)
    assert 0.2 < float(p_nK.max()) < 0.8
    exact = torch.einsum("nk,nd->kd", p_nK * (1 - p_nK), x_nD**2) / len(rows)
    found = measured(loaded(model), head_alone(model), rows * 240, labels="drawn", seed=1)["head"]
    assert float((found - exact).norm() / exact.norm()) < 0.2
    assert float(found.sum()) == pytest.approx(float(exact.sum()), rel=0.1)


def test_the_labels_of_the_data_give_the_empirical_one(model: Any) -> None:
    """(1[k = y] - p_k)² x_d², another number where the model is wrong."""
    rows = sequences(40)
    p_nK, x_nD = probabilities(model, rows)
    wrong_nK = -p_nK
    for n, one in enumerate(rows):
        wrong_nK[n, one.ids_T[-1]] += 1
    empirical = torch.einsum("nk,nd->kd", wrong_nK**2, x_nD**2) / len(rows)
    exact = torch.einsum("nk,nd->kd", p_nK * (1 - p_nK), x_nD**2) / len(rows)
    found = measured(loaded(model), head_alone(model), rows, labels="data", seed=1)["head"]
    torch.testing.assert_close(found.double(), empirical, rtol=1e-3, atol=1e-8)
    assert float(empirical.sum()) > 1.1 * float(exact.sum())


def test_the_square_of_a_batch_gradient_is_one_part_in_b_of_it(model: Any) -> None:
    """The way of many tutorials: here 0.13 of the truth at B = 8, so that lambda depends on B."""
    rows, size = sequences(160), 8
    truth = measured(loaded(model), head_alone(model), rows, labels="data", seed=1)["head"]
    head, sums = model.get_output_embeddings().weight, 0.0
    head.requires_grad_(True)
    for start in range(0, len(rows), size):
        batch = Batch.grow([[one] for one in rows[start : start + size]]).padded()
        mean = (batch.weights_N * see(model, batch).logprobs_N).sum() / batch.units
        sums += float(torch.autograd.grad(mean, [head])[0].square().sum())
    batched = sums / (len(rows) / size)
    assert batched / float(truth.sum()) == pytest.approx(1 / size, rel=0.5)


def test_a_sequence_is_squared_whole_and_leaves_the_model_as_it_was(model: Any) -> None:
    """The square of the sum over its tokens, not the sum of their squares."""
    ids = np.arange(5, 11, dtype=np.int32)
    one = Tokens(ids, np.array([0, 1, 1, 1, 0.5, 1], np.float32))
    weight = model.get_output_embeddings().weight
    weight.requires_grad_(False)
    state = torch.get_rng_state()
    found = measured(loaded(model), head_alone(model), [one], labels="data", seed=1)["head"]
    assert torch.get_rng_state().equal(state) and not weight.requires_grad
    weight.requires_grad_(True)
    batch = Batch.grow([[one]]).padded()
    total = (batch.weights_N * see(model, batch).logprobs_N).sum()
    expected = torch.autograd.grad(total, [weight])[0].square()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)
