"""The next token of each row of the running batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tunesmith.serving.choosing import next_tokens
from tunesmith.serving.rows import Row
from tunesmith.settings.run import Generate

LOGITS = torch.tensor([[1.0, 3.0, 2.0, 0.0], [0.0, 0.0, 5.0, 4.9]])


def row(likely: int | None = None, seed: int = 0, **how: float) -> Row:
    settings = Generate.model_validate({"temperature": 0} | how)
    prompt = np.array([0, 1], np.int64)
    return Row(prompt, settings, (), lambda told: None, likely=likely, seed=(seed,))


def test_the_likeliest_token_comes_with_the_likelihoods_of_the_model() -> None:
    (first, none), (second, told) = next_tokens(LOGITS, [row(), row(likely=2)])
    assert (first, none, second) == (1, None, 2)
    logprobs = LOGITS[1].log_softmax(-1)
    assert told is not None and told.logprob == pytest.approx(float(logprobs[2]))
    assert [token for token, _ in told.top] == [2, 3]
    assert [value for _, value in told.top] == pytest.approx([float(logprobs[n]) for n in (2, 3)])


def test_a_penalty_holds_for_its_own_row_and_not_for_what_is_told_of_likelihoods() -> None:
    # 3.0 / 2 is below 2.0: a token of the prompt is not the likeliest any more.
    ((penalised, told), (free, _)) = next_tokens(
        LOGITS[[0, 0]], [row(likely=0, repetition_penalty=2), row()]
    )
    assert (penalised, free) == (2, 1)
    assert told is not None
    assert told.logprob == pytest.approx(float(LOGITS[0].log_softmax(-1)[2]))


def test_draws_follow_the_probabilities_and_the_rows_own_seed() -> None:
    rows = [row(seed=n, temperature=0.5) for n in range(1500)]
    chosen = [token for token, _ in next_tokens(LOGITS[:1].expand(1500, -1), rows)]
    counts = np.bincount(chosen, minlength=4) / 1500
    wanted = (LOGITS[0] / 0.5).softmax(-1).numpy()
    # Four standard errors of a share.
    assert (np.abs(counts - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 1500)).all()
    again = [row(seed=n, temperature=0.5) for n in range(50)]
    assert [token for token, _ in next_tokens(LOGITS[:1].expand(50, -1), again)] == chosen[:50]


def test_top_p_leaves_the_unlikely_out() -> None:
    rows = [row(seed=n, temperature=1, top_p=0.6) for n in range(200)]
    assert {token for token, _ in next_tokens(LOGITS[:1].expand(200, -1), rows)} == {1}
