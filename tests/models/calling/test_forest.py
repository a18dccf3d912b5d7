"""The forest gives what each sequence alone gives, on every architecture that the probe lets
through.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from material.architectures import ARCHITECTURES, FOREST, tiny
from material.sequences import alone, sequences
from tunesmith.batches.batch import Batch
from tunesmith.batches.forest import plant
from tunesmith.errors import ModelError
from tunesmith.models.calling import forest
from tunesmith.models.calling.probe import settle
from tunesmith.models.calling.views import inputs_of, see
from tunesmith.models.loading.load import take_over_attention


def loaded(name: str) -> Any:
    """The tiny model as the loader leaves it."""
    model = tiny(name)
    take_over_attention(model)
    return model


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_probe_settles_each_architecture_and_the_settled_layout_is_exact(name: str) -> None:
    model = tiny(name)
    layout, reason = settle(model, 1e-4) if take_over_attention(model) else ("padded", "")
    assert layout == ("forest" if name in FOREST else "padded"), reason
    examples = sequences()
    batch = Batch.grow(examples)
    with torch.no_grad():
        ours = see(model, batch if layout == "forest" else batch.padded()).logprobs_N
        theirs = alone(tiny(name, attn_implementation="eager"), examples)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_attention_without_the_window_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded("mistral+short window")
    honest = forest._calls
    monkeypatch.setattr(forest, "_calls", lambda trees, window, device: honest(trees, None, device))
    layout, reason = settle(model, 1e-4)
    assert layout == "padded" and "windows cut to 8" in reason


def test_a_long_window_is_found_out_by_the_small_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded("mistral")
    honest = forest._calls
    monkeypatch.setattr(forest, "_calls", lambda trees, window, device: honest(trees, None, device))
    assert settle(model, 1e-4)[0] == "padded"


def test_a_forest_call_whose_keyword_is_lost_raises() -> None:
    model = loaded("llama")
    inputs = inputs_of(Batch.grow(sequences()))
    inputs.pop("forest")
    with pytest.raises(ModelError, match="runs padded"):
        model(**inputs)


def test_an_unknown_attention_keyword_raises() -> None:
    q = torch.zeros(1, 4, 3, 8)
    trees = Batch.grow(sequences()).layout.forest
    with pytest.raises(ModelError, match="alibi"):
        forest.forest_attention(
            torch.nn.Module(), q, q, q, None, forest=trees, alibi=torch.zeros(1)
        )


def test_attention_honours_dropout() -> None:
    torch.manual_seed(0)
    batch = Batch.grow(sequences())
    q = torch.randn(1, 4, batch.layout.length, 8)
    still, _ = forest.forest_attention(torch.nn.Module(), q, q, q, None, forest=batch.layout.forest)
    dropped, _ = forest.forest_attention(
        torch.nn.Module(), q, q, q, None, forest=batch.layout.forest, dropout=0.5
    )
    assert not torch.allclose(still, dropped)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", ["llama", "gemma2", "mistral+short window"])
def test_gradients_of_shared_tokens_are_the_sum_over_their_owners(
    name: str, checkpointing: bool
) -> None:
    model = loaded(name).train()
    model.requires_grad_(True)
    examples = sequences(1)

    def gradient(logprobs_N: torch.Tensor) -> torch.Tensor:
        model.zero_grad()
        (logprobs_N * torch.linspace(0.5, 1.5, len(logprobs_N))).sum().backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters()])

    theirs = gradient(alone(model, examples))
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    for batch in (
        Batch.grow(examples),
        Batch.grow(examples, share=False),
        Batch.grow(examples).padded(),
    ):
        difference = (gradient(see(model, batch).logprobs_N) - theirs).norm() / theirs.norm()
        assert difference < 1e-5, difference


def test_generation_with_left_padding_stays_right() -> None:
    model = loaded("llama")
    ids = torch.randint(0, 320, (1, 9))
    padded = torch.cat([torch.zeros(1, 4, dtype=torch.long), ids], 1)
    mask = torch.cat([torch.zeros(1, 4, dtype=torch.long), torch.ones_like(ids)], 1)
    how = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    plain = model.generate(ids, attention_mask=torch.ones_like(ids), **how)[:, 9:]
    assert torch.equal(model.generate(padded, attention_mask=mask, **how)[:, 13:], plain)


def test_a_gpu_takes_fewer_buckets_and_no_such_padding_as_would_cost_more() -> None:
    draw = np.random.default_rng(0)
    prompt = np.arange(300)
    rows = [np.r_[prompt, draw.integers(0, 9, length)] for length in range(10, 400, 10)]
    segments = tuple(plant(rows, 8)[0])
    on_cpu, on_gpu = (forest._group(segments, torch.device(kind)) for kind in ("cpu", "cuda"))
    assert len(on_gpu) < len(on_cpu) / 2
    for groups in (on_cpu, on_gpu):
        assert sorted(s.start for group in groups for s in group) == [s.start for s in segments]
    padded = sum(
        len(group) * max(s.depth for s in group) + len(group) * max(s.stop - s.start for s in group)
        for group in on_gpu
    )
    assert padded < 2 * sum(s.depth + s.stop - s.start for s in segments)


@pytest.mark.parametrize("name", ["llama", "mistral+short window"])
def test_however_segments_are_grouped_the_numbers_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket for each segment, and those of a GPU, fewer and padded; computed on a CPU."""
    examples = sequences()
    segments = Batch.grow(examples).layout.forest.segments
    theirs = alone(tiny(name, attn_implementation="eager"), examples)
    buckets = []
    for call, key in ((-(10**9), 0), (forest.GPU_CALL, forest.GPU_KEY)):
        monkeypatch.setattr(forest, "CALL", call)
        monkeypatch.setattr(forest, "KEY", key)
        buckets.append(len(forest._group(segments, torch.device("cpu"))))
        with torch.no_grad():
            ours = see(loaded(name), Batch.grow(examples)).logprobs_N
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert buckets == [len(segments), 2]
