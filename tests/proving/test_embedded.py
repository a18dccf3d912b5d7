"""The mean of hidden states is transformers' own, and what it separates is answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith.batches.batch import Tokens
from tunesmith.models.loading.load import Loaded, load_model
from tunesmith.proving.embedded import embedded, means


@pytest.fixture(scope="module")
def loaded(tiny_llama: Path) -> Loaded:
    return load_model(tiny_llama, dtype=torch.float32, device="cpu")


def tokens(ids: list[int]) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.ones(len(ids), np.float32))


def test_means_are_those_of_transformers(loaded: Loaded) -> None:
    texts = [[5, 6, 7], [5, 6, 8, 9, 10], [11]]
    found = means(loaded, [tokens(ids) for ids in texts])
    for ids, mean in zip(texts, found, strict=True):
        with torch.no_grad():
            states = loaded.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1]
        assert mean == pytest.approx(states[0].mean(0).numpy(), abs=1e-5)


def test_what_the_states_separate_is_answered(loaded: Loaded) -> None:
    draw = np.random.default_rng(0)

    def text(answer: str) -> Tokens:
        first = 20 if answer == "a" else 40
        return tokens(draw.integers(first, first + 20, size=6).tolist())

    answers = ["a", "b"] * 20
    asked = ["b", "a", "a", "b"]
    found, logs = embedded(
        loaded, [text(one) for one in answers], answers, [text(one) for one in asked], seed=0
    )
    assert found == asked
    for row, answer in zip(logs, asked, strict=True):
        assert max(row, key=lambda name: row[name]) == answer
        assert sum(np.exp(list(row.values()))) == pytest.approx(1.0)


def test_one_answer_is_given_always(loaded: Loaded) -> None:
    assert embedded(loaded, [tokens([5])], ["a"], [tokens([6])] * 2, seed=0) == (["a", "a"], [])
