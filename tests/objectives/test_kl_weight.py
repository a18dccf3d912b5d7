"""The price of the distance to the base, as exact expectations over six answers of one token: its
gradient is that of the KL divergence, in the loss and in the reward.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.batches.batch import Batch
from tunesmith.batches.rollout import Group, Sampled, answered
from tunesmith.objectives import grpo
from tunesmith.settings.family import OBJECTIVES

WEIGHT, PROMPT = 0.3, np.arange(3)
ANYHOW: Any = None


@pytest.fixture
def logits() -> torch.Tensor:
    values = [0.2, -1.1, 0.9, 0.0, -0.4, 1.3]
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


BASE = torch.tensor([0.9, 0.1, -0.6, 0.3, 0.0, 0.4], dtype=torch.float64).log_softmax(-1)


def objective(kl: str, **settings: Any) -> Any:
    given = {"name": "grpo", "kl": kl, "kl_weight": WEIGHT, "advantage": "leave_one_out"}
    made: Any = OBJECTIVES.make(OBJECTIVES.config({**given, **settings}))
    made.sampled(SimpleNamespace(samples=2, temperature=1.0, max_new_tokens=1, passes=1))
    return made


def of_kl(logits: torch.Tensor) -> torch.Tensor:
    """The gradient of WEIGHT times KL(policy || base)."""
    policy = logits.log_softmax(-1)
    distance = (policy.exp() * (policy - BASE)).sum()
    return WEIGHT * torch.autograd.grad(distance, logits)[0]


def sampled(token: int, logprob: float) -> Sampled:
    values_T = np.array([logprob], np.float64)
    return Sampled(np.array([token]), values_T, values_T * 0, True)


@pytest.mark.parametrize("passes", [1, 2])
def test_in_the_loss(passes: int, logits: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second update of a step on, the answers are those of the policy before it."""
    made, policy = objective("loss"), logits.log_softmax(-1)
    old = policy.detach() if passes == 1 else policy.detach().flip(0)
    answers = [sampled(token, 0.0) for token in range(6)]
    example = [
        answered(PROMPT, one, advantage=np.zeros(1), share=np.ones(1), sampled=np.zeros(1))
        for one in answers
    ]
    batch = Batch.grow([example], unit=made.unit)
    # Each answer as often as it is sampled.
    batch.columns |= {"share_N": old.exp(), "old_N": old, "reference_N": BASE}
    batch.columns["advantage_N"] = torch.zeros(6, dtype=torch.float64)
    monkeypatch.setattr(grpo, "see_at", lambda *_: policy)
    total = made.loss({"policy": ANYHOW}, batch).total
    (found,) = torch.autograd.grad(total, logits)
    torch.testing.assert_close(found, of_kl(logits), rtol=1e-12, atol=1e-15)
    assert found.norm() > 0.05


def test_in_the_reward(logits: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pairs of answers, whose rewards are the price alone."""
    made, policy = objective("reward"), logits.log_softmax(-1)
    told = policy.detach()
    found, distance = torch.zeros(6, dtype=torch.float64), 0.0
    for pair in itertools.product(range(6), repeat=2):
        base = [BASE[[token]].numpy() for token in pair]
        monkeypatch.setattr(grpo, "looked_up", lambda *_, base=base, **__: [{"reference": base}])
        answers = [sampled(token, float(told[token])) for token in pair]
        group = Group("row:1", PROMPT, answers, np.zeros(2))
        examples, numbers = made.experience([group], ANYHOW, {})
        chance = float(told[list(pair)].sum().exp())
        distance += chance * numbers["kl_sampled"]
        for tokens, token in zip(examples[0] if examples else (), pair, strict=False):
            better = float(tokens.columns["advantage_T"][-1])
            slope = torch.autograd.grad(policy[token], logits, retain_graph=True)[0]
            found -= chance * better * slope / 2
    # The columns of a batch are fp32.
    torch.testing.assert_close(found, of_kl(logits), rtol=1e-5, atol=1e-7)
    assert distance == pytest.approx(float((told.exp() * (told - BASE)).sum()))
