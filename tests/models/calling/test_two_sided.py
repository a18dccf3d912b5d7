"""Models with an encoder and a decoder: the loss is their own, however the rows are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from material.two_sided import MODELS, tiny_pair
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.micro_batches import cut
from tunesmith.data.rendering.render import Render
from tunesmith.examples import Chat, Turn
from tunesmith.models.calling.generate import generate
from tunesmith.models.calling.views import makes_own_logits, see, token_loss
from tunesmith.models.loading.load import Loaded, load_model
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Data, Generate

ASKED = [
    "How far is it?",
    "From here to the sea",
    "翻译成中文 please",
    "x",
    "How far is the sea from here to the answer?",
] * 2
ANSWERS = ["3 km", "not far at all from here", "中文", "the answer is far", "y"] * 2


@pytest.fixture(scope="module", params=sorted(MODELS))
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_model(
        tiny_pair(tmp_path_factory.mktemp("pair"), request.param), dtype=torch.float32, device="cpu"
    )


def rows(loaded: Loaded) -> list[list[Tokens]]:
    render = Render(loaded.tokenizer, Data(path="x"))
    pairs = zip(ASKED, ANSWERS, strict=True)
    return [
        render.chat(Chat((Turn("user", asked), Turn("assistant", answer))))
        for asked, answer in pairs
    ][:8]


def theirs(loaded: Loaded) -> torch.Tensor:
    """transformers' own loss times its tokens, row by row; what an answer must begin with is given,
    not learned.
    """
    total = torch.zeros(())
    tokenizer, start = loaded.tokenizer, Render(loaded.tokenizer, Data(path="x")).start
    for asked, answer in list(zip(ASKED, ANSWERS, strict=True))[:8]:
        labels = tokenizer(text_target=answer, return_tensors="pt")["input_ids"]
        shifted = loaded.model.prepare_decoder_input_ids_from_labels(labels)
        labels[:, : len(start) - 1] = -100
        ids = tokenizer(asked, return_tensors="pt")["input_ids"]
        shifted = loaded.model.prepare_decoder_input_ids_from_labels(
            tokenizer(text_target=answer, return_tensors="pt")["input_ids"]
        )
        loss = loaded.model(input_ids=ids, labels=labels, decoder_input_ids=shifted).loss
        total = total + loss * (labels != -100).sum()
    return total


def gradient(loaded: Loaded, batches: list[Batch]) -> tuple[float, torch.Tensor]:
    model = loaded.model.requires_grad_(True)
    model.zero_grad()
    losses = [token_loss(model, batch).total for batch in batches]
    sum(losses).backward()  # type: ignore[union-attr]
    return float(sum(losses).detach()), torch.cat(
        [w.grad.flatten() for w in model.parameters() if w.grad is not None]
    )  # type: ignore[arg-type]


def test_the_loss_is_the_models_own_with_its_gradient(loaded: Loaded) -> None:
    assert (
        loaded.layout == "padded" and loaded.model.get_output_embeddings() not in makes_own_logits
    )
    ours, grads = gradient(loaded, [loaded.lay(Batch.grow(rows(loaded)))])
    loaded.model.zero_grad()
    own = theirs(loaded)
    own.backward()
    assert ours == pytest.approx(float(own.detach()), rel=1e-5)
    difference = grads - torch.cat(
        [w.grad.flatten() for w in loaded.model.parameters() if w.grad is not None]
    )
    assert float(difference.norm()) < 1e-5 * float(grads.norm())


def test_one_gradient_however_the_rows_are_cut(loaded: Loaded) -> None:
    examples = rows(loaded)
    whole = gradient(loaded, [loaded.lay(Batch.grow(examples))])
    for size in (1, 2, 4):
        parts = [
            loaded.lay(Batch.grow(examples[start : start + size])) for start in range(0, 8, size)
        ]
        loss, grads = gradient(loaded, parts)
        assert loss == pytest.approx(whole[0], rel=1e-5)
        assert float((grads - whole[1]).norm()) < 1e-5 * float(whole[1].norm())


def test_the_head_runs_at_scored_positions_only(loaded: Loaded) -> None:
    batch = loaded.lay(Batch.grow(rows(loaded)))
    seen: list[int] = []
    handle = loaded.model.get_output_embeddings().register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[0].shape[-2])
    )
    try:
        see(loaded.model, batch).logprobs_N.sum()
    finally:
        handle.remove()
    assert seen[0] == 0 and sum(seen) == len(batch.scored_N) == sum(
        tokens.scored for row in rows(loaded) for tokens in row
    )


def test_cuts_cost_both_sides() -> None:
    def row(source: int, own: int) -> list[Tokens]:
        return [
            Tokens(
                np.zeros(own, np.int32),
                np.ones(own, np.float32),
                source_ids_T=np.zeros(source, np.int32),
            )
        ]

    examples = [row(90, 10), row(10, 90), row(50, 50)]
    assert [len(tokens) for example in examples for tokens in example] == [100, 100, 100]
    assert cut(examples, 360, padded=True) == [[0, 1], [2]], "two rows of 90 tokens on either side"
    assert cut(examples, 359, padded=True) == [[0], [1, 2]]


def test_checkpointing_and_its_noise_change_no_gradient(tmp_path: Path) -> None:
    loaded = load_model(tiny_pair(tmp_path, dropout_rate=0.0), dtype=torch.float32, device="cpu")
    model, batch = loaded.model.train().requires_grad_(True), loaded.lay(Batch.grow(rows(loaded)))
    found = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        torch.manual_seed(0)
        model.zero_grad()
        OBJECTIVES.make(OBJECTIVES.config({"name": "sft", "neftune": 5})).loss(
            {"policy": model}, batch
        ).total.backward()
        found.append(
            torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])
        )
    assert float((found[0] - found[1]).norm()) < 1e-5 * float(found[0].norm())


def test_answers_of_a_batch_are_those_of_each_alone_and_of_plain_transformers(
    loaded: Loaded,
) -> None:
    render = Render(loaded.tokenizer, Data(path="x"))
    prompts = [
        render.prompt(Chat((Turn("user", asked * times),)))
        for asked, times in (("x", 1), (ASKED[0], 2), (ASKED[4], 3))
    ]
    assert len({len(prompt) for prompt in prompts}) == 3
    together = generate(
        loaded.model, loaded.tokenizer, prompts, Generate(max_new_tokens=8), stop_ids=(1,)
    )
    for prompt, answer in zip(prompts, together, strict=True):
        ids = torch.from_numpy(prompt.astype(np.int64))[None]
        given = torch.tensor([render.start])
        own = loaded.model.generate(
            ids,
            decoder_input_ids=given,
            max_new_tokens=8,
            do_sample=False,
            num_beams=1,
            eos_token_id=1,
        )
        written = own[0, len(render.start) :].tolist()
        assert list(answer.ids) == (written[: written.index(1)] if 1 in written else written)
        (alone,) = generate(
            loaded.model, loaded.tokenizer, [prompt], Generate(max_new_tokens=8), stop_ids=(1,)
        )
        assert alone == answer
    assert len({answer.ids for answer in together}) > 1, "what is read matters"
