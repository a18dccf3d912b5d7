"""The three views of one forward: equal to the plain model, the head only where something is
scored.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from material.architectures import tiny
from material.sequences import alone, sequences
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.models.calling import chunks, forest, views
from tunesmith.models.calling.probe import settle
from tunesmith.models.calling.views import see, token_loss

forest.register()


def batch_of(scored_from: int = 20) -> Batch:
    examples = sequences()
    for example in examples:
        for tokens in example:
            tokens.weights_T[:scored_from] = 0
    return Batch.grow(examples)


@pytest.mark.parametrize("name", ["llama", "cohere", "granite", "gemma2"])
def test_token_loss_is_the_plain_loss_with_its_gradient(name: str) -> None:
    model = tiny(name, attn_implementation=forest.NAME)
    model.requires_grad_(True)
    batch = Batch.grow(sequences())
    loss = token_loss(model, batch)
    loss.total.backward()
    ours = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    model.zero_grad()
    theirs = -alone(model, sequences()).sum()
    theirs.backward()
    torch.testing.assert_close(loss.total, theirs, rtol=1e-5, atol=0)
    difference = ours - torch.cat([weight.grad.flatten() for weight in model.parameters()])
    assert difference.norm() < 1e-5 * ours.norm()
    assert loss.metrics["loss"].count == batch.units == len(batch.scored_N)


def test_the_head_runs_only_at_scored_positions_and_in_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 0)
    monkeypatch.setattr(chunks, "SMALLEST_CHUNK", 4)
    model = tiny("llama", attn_implementation=forest.NAME)
    rows: list[int] = []
    model.lm_head.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].shape[-2]))
    batch = batch_of()
    whole = see(model, batch).logprobs_N
    assert rows[0] == 0 and max(rows) <= 4 and sum(rows) == len(batch.scored_N)
    monkeypatch.setattr(chunks, "SMALLEST_CHUNK", 10_000)
    torch.testing.assert_close(see(model, batch).logprobs_N, whole)


def test_over_logits_takes_another_model_without_gradient() -> None:
    model, other = (tiny("llama", attn_implementation=forest.NAME) for _ in range(2))
    other.requires_grad_(True)
    model.requires_grad_(True)
    torch.nn.init.normal_(other.lm_head.weight, std=0.2)
    batch = batch_of()

    def divergence(
        logits_nV: torch.Tensor, other_nV: torch.Tensor | None, chunk: slice
    ) -> torch.Tensor:
        assert other_nV is not None and len(batch.targets_N[chunk]) == len(logits_nV)
        target = other_nV.log_softmax(-1)
        return (target.exp() * (target - logits_nV.log_softmax(-1))).sum()

    total = see(model, batch).over_logits(divergence, see(other, batch))
    total.backward()
    assert total > 0 and model.lm_head.weight.grad is not None and other.lm_head.weight.grad is None


def test_features_are_what_the_head_is_given() -> None:
    model = tiny("llama", attn_implementation=forest.NAME)
    examples = sequences()
    features_BD = see(model, Batch.grow(examples)).features("ends")
    for row, tokens in enumerate(tokens for example in examples for tokens in example):
        ids = torch.from_numpy(tokens.ids_T.astype(np.int64))[None]
        theirs = model.model(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
        torch.testing.assert_close(features_BD[row], theirs, rtol=1e-4, atol=1e-5)


def test_a_head_scaled_in_an_unknown_way_lets_the_model_make_its_logits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views, "after_head", lambda config: lambda logits: logits)
    model = tiny("cohere", attn_implementation=forest.NAME)
    assert settle(model, 1e-4)[0] == "forest"
    assert model.get_output_embeddings() in views.makes_own_logits
    with torch.no_grad():
        torch.testing.assert_close(
            see(model, Batch.grow(sequences())).logprobs_N,
            alone(model, sequences()),
            rtol=1e-4,
            atol=1e-5,
        )


def test_nothing_scored_is_a_zero_in_the_graph() -> None:
    model = tiny("llama", attn_implementation=forest.NAME)
    model.requires_grad_(True)
    ids = np.arange(5, dtype=np.int32)
    total = token_loss(model, Batch.grow([[Tokens(ids, np.zeros(5, np.float32))]])).total
    assert total.item() == 0 and total.requires_grad
    total.backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in model.parameters())


def test_the_backward_of_logprobs_runs_in_the_precision_of_its_forward() -> None:
    # A LayerNorm under CUDA's autocast gives fp32 to a head in bf16.
    torch.manual_seed(0)
    batch = batch_of()
    linear = torch.nn.Linear(16, 50, bias=False, dtype=torch.bfloat16)
    batch.targets_N %= 50
    head = views.Head(linear, lambda logits: logits)
    weights_N = torch.randn(len(batch.scored_N))
    found: list[tuple[torch.Tensor, ...]] = []
    for plain in (False, True):
        torch.manual_seed(1)
        hidden_TD = torch.randn(batch.layout.length, 16, requires_grad=True)
        linear.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            seen = views.Seen(batch, hidden_TD, head)
            logits_NV = head.logits(seen.features("scored"))
            wanted_N = -torch.nn.functional.cross_entropy(
                logits_NV, batch.targets_N, reduction="none"
            )
            logprobs_N = wanted_N if plain else seen.logprobs_N
        (weights_N * logprobs_N).sum().backward()
        assert hidden_TD.grad is not None and linear.weight.grad is not None
        found.append((logprobs_N.detach(), hidden_TD.grad, linear.weight.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_gpu_takes_larger_chunks_as_far_as_its_memory_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = type("Card", (), {"total_memory": 80 * 2**30})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    gpu, cpu = torch.device("cuda", 0), torch.device("cpu")
    assert len(chunks.chunks(16_384, 151_936, cpu)) == 128
    assert len(chunks.chunks(16_384, 151_936, gpu)) == 19
    card.total_memory = 8 * 2**30
    assert chunks.chunk_bytes(gpu) == 256 * 2**20
    assert chunks.chunks(10, 5, gpu) == [slice(0, 10)]
