"""Sampled answers: the same whatever is sampled beside them and however it is computed, from the
very distribution that is trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import tiny_model
from tunesmith.batches.batch import Batch
from tunesmith.batches.rollout import Sampled, answered, by_sequence
from tunesmith.models.calling.temperature import at_temperature
from tunesmith.models.calling.views import see
from tunesmith.models.loading.load import Loaded, load_model
from tunesmith.rollout import sampling
from tunesmith.rollout.sampling import Sampling, sample

PROMPTS = {0: np.arange(10, 30), 1: np.arange(40, 47), 2: np.arange(60, 61), 5: np.arange(9, 20)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    torch.set_num_threads(1)
    folder = tiny_model(tmp_path_factory.mktemp("sampled"), initializer_range=0.4)
    return load_model(folder, dtype=torch.float32, device="cpu")


def how(**changes: Any) -> Sampling:
    settings = {"samples": 3, "most": 12, "temperature": 0.7, "seed": 3}
    return Sampling(**{**settings, "stop_ids": tuple(range(60)), **changes})


def same(one: dict[int, list[Sampled]], other: dict[int, list[Sampled]]) -> None:
    assert one.keys() == other.keys()
    for place, answers in one.items():
        for mine, theirs in zip(answers, other[place], strict=True):
            assert mine.ids_T.tolist() == theirs.ids_T.tolist()
            assert mine.stopped == theirs.stopped
            np.testing.assert_allclose(mine.logprobs_T, theirs.logprobs_T, atol=2e-5)
            np.testing.assert_allclose(mine.entropies_T, theirs.entropies_T, atol=2e-5)


def test_answers_do_not_depend_on_what_is_sampled_beside_them(model: Loaded) -> None:
    whole = sample(model, PROMPTS, how(), step=4)
    same(sample(model, PROMPTS, how(), step=4, budget=1), whole)
    some = {place: PROMPTS[place] for place in (5, 1)}
    same(sample(model, some, how(), step=4), {place: whole[place] for place in some})
    texts = {tuple(one.ids_T) for answers in whole.values() for one in answers}
    assert len(texts) > 8, "they differ from each other"
    ids = [one.ids_T.tolist() for one in whole[0]]
    other = sample(model, PROMPTS, how(), step=5)
    assert [one.ids_T.tolist() for one in other[0]] != ids
    assert [one.ids_T.tolist() for one in sample(model, PROMPTS, how(), step=4)[0]] == ids


def test_both_ways_of_sampling_draw_the_same(
    model: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = sample(model, PROMPTS, how(), step=1)
    ended = [one.stopped for answers in shared.values() for one in answers]
    assert any(ended) and not all(ended), "some rows leave early, some are cut"
    monkeypatch.setattr(sampling, "_share_prompts", lambda *_: False)
    same(sample(model, PROMPTS, how(), step=1), shared)


def test_the_ids_are_kept_as_they_were_drawn(model: Loaded) -> None:
    stops = set(how().stop_ids)
    for answers in sample(model, PROMPTS, how(), step=1).values():
        for one in answers:
            assert one.stopped == (one.ids_T[-1] in stops)
            assert not stops & set(one.ids_T[:-1].tolist()), "nothing follows a stop token"
            assert one.stopped or len(one.ids_T) == how().most
            assert len(one.ids_T) == len(one.logprobs_T) == len(one.entropies_T)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("padded", [False, True])
def test_what_is_trained_is_what_was_sampled_from(
    model: Loaded, temperature: float, padded: bool
) -> None:
    found = sample(model, PROMPTS, how(temperature=temperature), step=2)
    examples = [[answered(PROMPTS[n], one) for one in answers] for n, answers in found.items()]
    batch = Batch.grow(examples)
    batch = batch.padded() if padded else batch
    with torch.no_grad():
        logprobs_N = at_temperature(see(model.model, batch), temperature).logprobs_N
    sampled = [one for answers in found.values() for one in answers]
    for seen_T, one in zip(by_sequence(logprobs_N.numpy(), batch), sampled, strict=True):
        np.testing.assert_allclose(seen_T, one.logprobs_T, atol=2e-5)


def test_tokens_come_as_often_as_they_are_likely(model: Loaded) -> None:
    count = 6000
    prompt = {0: PROMPTS[1]}
    found = sample(model, prompt, how(samples=count, most=1, temperature=0.8), step=0)[0]
    with torch.no_grad():
        logits = model.model(torch.from_numpy(PROMPTS[1])[None]).logits[0, -1]
    chance = (logits / 0.8).softmax(-1).double().numpy()
    times = np.bincount([int(one.ids_T[0]) for one in found], minlength=len(chance))
    often = chance * count >= 5
    rest = np.append(chance[often], chance[~often].sum()) * count
    seen = np.append(times[often], times[~often].sum())
    chi_square, freedom = float(((seen - rest) ** 2 / rest).sum()), int(often.sum())
    assert freedom > 15
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5
    entropy = -(chance * np.log(chance)).sum()
    assert found[0].entropies_T[0] == pytest.approx(entropy, rel=1e-4)


def test_a_prompt_is_computed_once_and_ended_rows_leave(
    model: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []
    inner = sampling._last_logits

    def counted(model: Any, ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        sizes.append(tuple(ids.shape))
        return inner(model, ids, *rest)

    monkeypatch.setattr(sampling, "_last_logits", counted)
    found = sample(model, PROMPTS, how(), step=1)
    assert sizes[0] == (4, 20), "each prompt stands there once"
    lengths = [len(one.ids_T) for answers in found.values() for one in answers]
    live = [sum(length > step for length in lengths) for step in range(1, max(lengths))]
    assert sizes[1:] == [(rows, 1) for rows in live] and live[0] > live[-1]


def test_dropout_is_off_and_the_mode_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path, attention_dropout=0.5)
    loaded = load_model(folder, dtype=torch.float32, device="cpu")
    quiet = sample(loaded, PROMPTS, how(), step=1)
    loaded.model.train()
    same(sample(loaded, PROMPTS, how(), step=1), quiet)
    assert loaded.model.training
