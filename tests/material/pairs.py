"""Pairs and judged answers on a tiny random model, with a reference that differs from the
policy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from material.architectures import tiny
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.data.prepare import Item
from tunesmith.machine.parallel import Processes
from tunesmith.models.calling.views import see
from tunesmith.models.loading.load import take_over_attention
from tunesmith.objectives._pairs import answer_logprobs
from tunesmith.settings.family import OBJECTIVES

LENGTHS = [(5, 9), (7, 3), (4, 4), (11, 6), (6, 12), (3, 8), (9, 9), (10, 2)]


def models(seed: int = 0) -> tuple[Any, Any]:
    """A policy and a reference of the same shape with other weights."""
    policy, reference = tiny("llama"), tiny("llama")
    torch.manual_seed(seed + 1)
    for model in (policy, reference):
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.12)
        take_over_attention(model.eval())
    return policy, reference


def tokens(prompt: np.ndarray, answer: np.ndarray, **columns: Any) -> Tokens:
    weights = np.r_[np.zeros(len(prompt)), np.ones(len(answer))].astype(np.float32)
    return Tokens(np.r_[prompt, answer].astype(np.int32), weights, columns)


def pairs(lengths: list[tuple[int, int]] = LENGTHS) -> list[tuple[Tokens, ...]]:
    """Two answers each to prompts of unequal length that begin alike."""
    draw = np.random.default_rng(0)
    shared = draw.integers(0, 320, 10)
    found = []
    for n, sizes in enumerate(lengths):
        prompt = np.r_[shared, draw.integers(0, 320, 3 + n)]
        found.append(
            tuple(
                tokens(prompt, draw.integers(0, 320, size), side=side)
                for side, size in enumerate(sizes)
            )
        )
    return found


def judged() -> list[tuple[Tokens, ...]]:
    """The same answers, one by one."""
    rows = [
        (replace(pair[n % 2], columns={"desirable": int(n % 3 > 0)}),)
        for n, pair in enumerate(pairs())
    ]
    return OBJECTIVES.make(OBJECTIVES.config("kto")).across(rows)


def referred(reference: Any, rows: list[tuple[Tokens, ...]]) -> list[tuple[Tokens, ...]]:
    """The rows with the reference's log-probabilities, each sequence alone."""

    def value(one: Tokens) -> float:
        with torch.no_grad():
            return float(answer_logprobs(see(reference, Batch.grow([[one]]))))

    def with_value(one: Tokens) -> Tokens:
        columns = {**one.columns, "reference": value(one)}
        if "mismatched" in columns:
            columns["mismatched"] = replace(
                columns["mismatched"], columns={"reference": value(columns["mismatched"])}
            )
        return replace(one, columns=columns)

    return [tuple(map(with_value, row)) for row in rows]


def stepped(objective: Any, policy: Any, batches: list[Batch]) -> tuple[float, torch.Tensor]:
    """Loss per unit of a step and its gradient, as the loop forms them."""
    policy.zero_grad()
    objective.prepare({"policy": policy}, batches, Processes())
    units, total = sum(batch.units for batch in batches), 0.0
    for batch in batches:
        loss = objective.loss({"policy": policy}, batch)
        (loss.total / units).backward()
        total += float(loss.total.detach())
    return total / units, torch.cat(
        [weight.grad.flatten() for weight in policy.parameters() if weight.grad is not None]
    )


def batch_of(rows: Any) -> Batch:
    return Batch.grow(rows, unit="example")


def items(rows: list[tuple[Tokens, ...]]) -> list[Item]:
    return [Item(f"rows:{n}", row) for n, row in enumerate(rows)]
