"""Likelihoods: equal in a forest, padded, and by plain transformers, whatever the budget; shared
prompts cost once.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.micro_batches import cut
from tunesmith.models.loading.load import load_model
from tunesmith.predicting import likelihoods


@pytest.fixture(scope="module")
def loaded(tiny_llama):
    return load_model(tiny_llama, dtype=torch.float32, device="cpu")


def examples() -> list[list[Tokens]]:
    generator = np.random.default_rng(0)
    header = generator.integers(4, 400, 20)
    found = []
    for n in range(9):
        prompt = np.concatenate([header, generator.integers(4, 400, 3 + 5 * (n % 3))])
        found.append(
            [likelihoods.continued(prompt, generator.integers(4, 400, size)) for size in (1, 2, 4)]
        )
    weights = np.where(np.arange(30) % 3 == 0, 0.5, 1.0).astype(np.float32)
    return [*found, [Tokens(generator.integers(4, 400, 30).astype(np.int32), weights)]]


def plain(model, tokens: Tokens) -> list[float]:
    with torch.no_grad():
        logprobs = (
            model(torch.tensor(tokens.ids_T[None].astype(np.int64))).logits[0].log_softmax(-1)
        )
    places = [t for t in range(1, len(tokens)) if tokens.weights_T[t]]
    total = sum(float(-tokens.weights_T[t] * logprobs[t - 1, int(tokens.ids_T[t])]) for t in places)
    return [total, float(tokens.weights_T[1:].sum())]


@pytest.mark.parametrize("layout", ["forest", "padded"])
@pytest.mark.parametrize("budget", [1, 200, 100_000])
def test_equal_to_plain_transformers(loaded, layout, budget):
    loaded.layout = layout
    found = likelihoods.likelihoods(loaded, examples(), budget=budget)
    for rows, sequences in zip(found, examples(), strict=True):
        assert rows == pytest.approx(
            np.array([plain(loaded.model, tokens) for tokens in sequences]), abs=1e-4
        )


def test_a_shared_prompt_is_computed_once(loaded, monkeypatch):
    loaded.layout = "forest"
    sizes = []
    grow = Batch.grow.__func__

    def watched(cls, given, **more):
        batch = grow(cls, given, **more)
        sizes.append(batch.layout.length)
        return batch

    monkeypatch.setattr(Batch, "grow", classmethod(watched))
    likelihoods.likelihoods(loaded, examples(), budget=100_000)
    whole = sum(len(tokens) for sequences in examples() for tokens in sequences)
    assert len(sizes) == 1 and sizes[0] < whole / 2.5


@pytest.mark.parametrize("padded, budget", [(False, 90), (True, 200)])
def test_parts_keep_to_the_budget_and_hold_every_example_once(padded, budget):
    given = examples()
    parts = cut(given, budget, padded=padded)
    assert sorted(index for part in parts for index in part) == list(range(len(given)))
    assert 1 < len(parts) < len(given)
    for part in parts:
        batch = Batch.grow([given[index] for index in part])
        size = len((batch.padded() if padded else batch).ids_T)
        # Beginnings under 8 tokens are not worth a segment and so are computed again.
        assert len(part) == 1 or size <= budget + (0 if padded else 8 * len(part))


def test_progress_counts_to_all(loaded):
    told = []
    likelihoods.likelihoods(
        loaded, examples(), budget=100, progress=lambda done, of: told.append((done, of))
    )
    assert told[-1] == (10, 10) and told == sorted(told)


def test_the_likeliest_option_has_the_smallest_sum():
    assert likelihoods.likeliest(np.array([3.0, 1.5, 2.0]), ["a", "b", "c"]) == "b"
