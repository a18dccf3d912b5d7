"""What sft adds to the plain likelihood: smoothing, noise, weights of turns and of their parts,
each against its own form.
"""

from __future__ import annotations

import json
import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from material import runs
from material.architectures import tiny
from material.sequences import sequences
from material.two_sided import tiny_pair
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.data.columns.finishing import finish
from tunesmith.data.columns.messages import turn_of
from tunesmith.data.readers import READERS
from tunesmith.data.rendering.render import Render
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Turn
from tunesmith.models.calling.noise import lengths_of, noisy
from tunesmith.models.calling.views import token_loss
from tunesmith.models.loading.load import load_model, take_over_attention
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Data
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train


def sft(**settings: Any) -> Any:
    return OBJECTIVES.make(OBJECTIVES.config({"name": "sft", **settings}))


def model() -> Any:
    made = tiny("llama")
    take_over_attention(made)
    return made


def one_row() -> Batch:
    ids = np.arange(3, 15, dtype=np.int32)
    return Batch.grow([[Tokens(ids, np.r_[0, 0, 0, 0, np.ones(8)].astype(np.float32))]])


def test_smoothing_is_transformers_own() -> None:
    from transformers.trainer_pt_utils import LabelSmoother

    made, batch = model(), one_row()
    labels = torch.where(torch.arange(12) < 4, -100, batch.ids_T)[None]
    with torch.no_grad():
        output = made(input_ids=batch.input_ids, use_cache=False)
        own = LabelSmoother(epsilon=0.2)(output, labels, shift_labels=True) * 8
        ours = sft(label_smoothing=0.2).loss({"policy": made.train()}, batch)
        plain = sft().loss({"policy": made}, batch)
    assert float(ours.total) == pytest.approx(float(own), rel=1e-5)
    assert ours.metrics["nll"].sum == pytest.approx(float(plain.total), rel=1e-5) and float(
        plain.total
    ) != float(ours.total)
    with torch.no_grad():
        measured = sft(label_smoothing=0.2).loss({"policy": made.eval()}, batch)
    assert float(measured.total) == float(plain.total) and set(measured.metrics) == {"loss"}


def test_smoothing_by_hand_with_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.models.calling import views

    logits = torch.tensor(
        [[0.0, math.log(2), math.log(5)], [0.0, 0.0, 0.0]]
    )  # p = 1/8 2/8 5/8, and thirds
    batch = Batch.grow([[Tokens(np.array([0, 2, 1], np.int32), np.array([0, 1, 3], np.float32))]])

    class Fixed:
        def over_logits(self, function: Any) -> torch.Tensor:
            return function(logits, None, slice(0, 2))

    monkeypatch.setattr(views, "see", lambda *_: Fixed())
    even = (math.log(8) + math.log(4) + math.log(8 / 5)) / 3
    wanted = 0.9 * math.log(8 / 5) + 0.1 * even + 3 * math.log(3)
    assert float(token_loss(torch.nn.Identity(), batch, smoothing=0.1).total) == pytest.approx(
        wanted, rel=1e-6
    )


def embedded(made: Any, batch: Batch, alpha: float, **inputs: Any) -> torch.Tensor:
    """What the embedding gives within the noise."""
    seen: list[torch.Tensor] = []
    with noisy(made, batch, alpha):
        handle = made.get_input_embeddings().register_forward_hook(
            lambda *given: seen.append(given[2])
        )
        made(**(inputs or {"input_ids": batch.input_ids, "use_cache": False}))
        handle.remove()
    return seen[0].detach()


def test_noise_is_transformers_own_on_one_row() -> None:
    from transformers.integrations.neftune import neftune_post_forward_hook

    made, batch = model().train(), one_row()
    embedding = made.get_input_embeddings()
    torch.manual_seed(5)
    ours = embedded(made, batch, 7.0)
    embedding.neftune_noise_alpha = 7.0
    torch.manual_seed(5)
    own = neftune_post_forward_hook(
        embedding, (batch.input_ids,), embedding(batch.input_ids)
    ).detach()
    torch.testing.assert_close(ours, own, rtol=1e-5, atol=1e-6)
    plain = embedding(batch.input_ids).detach()
    assert 0.9 < float((ours - plain).abs().max()) * math.sqrt(12 * 64) / 7.0 <= 1


def test_noise_has_the_size_of_each_tokens_own_sequence_and_padding_has_none() -> None:
    made, batch = model().train(), Batch.grow(sequences())
    padded = batch.padded()
    lengths = [33, 45, 27, 10]
    assert lengths_of(padded).max(1).values.tolist() == lengths
    counts = dict(
        zip(
            *(part.tolist() for part in torch.unique(lengths_of(batch), return_counts=True)),
            strict=True,
        )
    )
    assert counts == {45: 24 + 21, 33: 9, 27: 15, 10: 10}, (
        "what is shared has the size of its longest sequence"
    )
    noise = (
        embedded(made, padded, 5.0, input_ids=padded.input_ids)
        - made.get_input_embeddings()(padded.input_ids).detach()
    )
    for row, length in zip(noise, lengths, strict=True):
        assert (
            not row[length:].any()
            and 0.9 < float(row.abs().max()) * math.sqrt(length * 64) / 5.0 <= 1
        )


def test_an_encoders_source_is_noisy_and_its_decoder_is_not(tmp_path: Path) -> None:
    loaded = load_model(tiny_pair(tmp_path), dtype=torch.float32, device="cpu")
    render = Render(loaded.tokenizer, Data(path="x"))
    batch = loaded.lay(
        Batch.grow([render.chat(Chat((Turn("user", "How far?"), Turn("assistant", "3 km"))))])
    )
    seen: list[torch.Tensor] = []
    for side in ("encoder", "decoder"):
        loaded.model.get_submodule(side).embed_tokens.register_forward_hook(
            lambda *given: seen.append(given[2].detach())
        )
    for alpha in (0.0, 9.0):
        with noisy(loaded.model, batch, alpha), torch.no_grad():
            token_loss(loaded.model, batch)
    assert len(seen) == 4 and seen[1].equal(seen[3])
    hook_sees_noise = [
        loaded.model.encoder.embed_tokens is loaded.model.get_encoder().get_input_embeddings()
    ]
    assert hook_sees_noise == [True]


def test_noise_is_drawn_in_training_and_never_while_measuring() -> None:
    made, batch = model(), one_row()
    plain, noise = sft(), sft(neftune=15)
    with torch.no_grad():
        still = float(plain.loss({"policy": made.eval()}, batch).total)
        assert float(noise.loss({"policy": made}, batch).total) == still
        made.train()
        drawn = [float(noise.loss({"policy": made}, batch).total) for _ in range(2)]
        assert len({still, *drawn}) == 3
        torch.manual_seed(1)
        again = [float(noise.loss({"policy": made}, batch).total)]
        torch.manual_seed(1)
        assert [float(noise.loss({"policy": made}, batch).total)] == again
        assert float(plain.loss({"policy": made}, batch).total) == still, "the hook is gone"


@pytest.mark.slow  # 4 s
def test_a_killed_run_draws_the_same_noise_again(tiny_llama: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)  # children are forked
    objective = {"objective": {"name": "sft", "neftune": 5, "label_smoothing": 0.1}}
    prepared = runs.data_of(runs.resolved(tiny_llama / "unused", tiny_llama), watch=8)
    names = ("whole", "broken", "plain")
    whole, broken, plain = (
        runs.resolved(tmp_path / name, tiny_llama, **(objective if name != "plain" else {}))
        for name in names
    )

    def killed(line: dict[str, Any]) -> None:
        if line["step"] == 5 and "loss" in line:
            os._exit(9)

    for one in (whole, plain):
        assert runs.in_child(lambda one=one: train(one, prepared)) == 0
    assert runs.in_child(lambda: train(broken, prepared, events=runs.on_step(killed))) == 9
    assert runs.in_child(lambda: train(broken, prepared, resume=True)) == 0
    straight, resumed, usual = (RunFolder(tmp_path / name) for name in names)
    assert runs.weights(resumed.model) == runs.weights(straight.model) != runs.weights(usual.model)
    assert runs.record(resumed) == runs.record(straight)
    first = [
        next(line for line in folder.steps() if "loss" in line) for folder in (straight, usual)
    ]
    assert "nll" in first[0] and first[0]["nll"] != first[1]["loss"], (
        "the first step's likelihood is already noisy"
    )
    measured = [
        next(line for line in folder.steps() if "evaluation" in line)["evaluation"]
        for folder in (straight, usual)
    ]
    assert measured[0] == measured[1], "the base is measured without noise and smoothing"


TALK = [
    {"role": "user", "content": "a?"},
    {"role": "assistant", "content": "first", "weight": 0},
    {"role": "user", "content": "b?"},
    {"role": "assistant", "content": "second", "weight": 0.25},
    {"role": "user", "content": "c?"},
    {"role": "assistant", "content": "third"},
]


def weighed(render: Render, tokens: Tokens) -> list[tuple[str, float]]:
    """The text of each run of tokens of one weight that are trained."""
    borders = [0, *(np.flatnonzero(np.diff(tokens.weights_T)) + 1), len(tokens.ids_T)]
    parts = pairwise(borders)
    return [
        (render.pieces.text(tokens.ids_T[a:b]), float(tokens.weights_T[a]))
        for a, b in parts
        if tokens.weights_T[a]
    ]


def test_a_turns_weight_is_that_of_its_tokens(tiny_llama: Path, tmp_path: Path) -> None:
    chat, _ = finish(READERS.get("messages")().read({"messages": TALK}))
    assert isinstance(chat, Chat)
    render = Render(load_tokenizer(tiny_llama), Data(path="x"))
    (tokens,) = render.chat(chat)
    assert weighed(render, tokens) == [("second<|im_end|>", 0.25), ("third<|im_end|>", 1.0)]
    sided = Render(load_tokenizer(tiny_pair(tmp_path)), Data(path="x"))
    assert [weighed(sided, tokens) for tokens in sided.chat(chat)] == [
        [("second</s>", 0.25)],
        [("third</s>", 1.0)],
    ]
    with torch.no_grad():
        batch, made = (
            Batch.grow([[tokens]]),
            load_model(tiny_llama, dtype=torch.float32, device="cpu").model,
        )
        loss = sft().loss({"policy": made}, batch)
        half = Batch.grow(
            [[Tokens(tokens.ids_T, np.where(tokens.weights_T == 0.25, 1, tokens.weights_T))]]
        )
        alike = sft().loss({"policy": made}, half)
    assert batch.units == pytest.approx(tokens.weights_T.sum()) and batch.units < half.units
    assert loss.metrics["loss"].value != pytest.approx(alike.metrics["loss"].value, rel=1e-4)


def test_parts_of_a_turn_have_weights_of_their_own(tiny_llama: Path, tmp_path: Path) -> None:
    text = "I'm doing very well, thank you!"
    parts = [
        {"begin_offset": 0, "end_offset": 8, "train": False},
        {"begin_offset": 9, "end_offset": 18, "train": True},
        {"begin_offset": 19, "end_offset": 30, "weight": 0.5},
    ]
    turn = turn_of({"from": "assistant", "value": text, "train_detail": parts}, "conversations[1]")
    assert [(text[a:b], weight) for a, b, weight in turn.spans] == [
        ("I'm doing", 0),
        (" very well", 1),
        (", thank you!", 0.5),
    ]
    chat = Chat((Turn("user", "How?"), turn))
    for data in (Data(path="x"), Data(path="x", template="Q: {question}\nA: {answer}")):
        render = Render(load_tokenizer(tiny_llama), data)
        (tokens,) = render.chat(chat)
        assert weighed(render, tokens) == [
            (" very well", 1.0),
            (", thank you!", 0.5),
            ("<|im_end|>", 1.0),
        ]
    sided = Render(load_tokenizer(tiny_pair(tmp_path)), Data(path="x"))
    assert weighed(sided, sided.chat(chat)[0]) == [
        (" very well", 1.0),
        (", thank you!", 0.5),
        ("</s>", 1.0),
    ]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"weight": -1}, "m[1].weight: a weight is a number, 0 or more"),
        ({"weight": "yes"}, "m[1].weight: a weight is a number, 0 or more"),
        (
            {"train_detail": [{"begin_offset": 0, "end_offset": 5}]},
            "m[1].train_detail[0]: a part of a turn has begin_offset",
        ),
    ],
)
def test_a_wrong_weight_is_told_at_its_place(more: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        turn_of({"role": "assistant", "content": "third", **more}, "m[1]")
    assert str(caught.value).startswith(text)


def test_everything_trains_the_prompts_too(tiny_llama: Path) -> None:
    render = Render(load_tokenizer(tiny_llama), Data(path="x", train_on="everything"))
    (tokens,) = render.chat(Chat((Turn("user", "a?"), Turn("assistant", "first"))))
    assert tokens.weights_T.tolist() == [0.0] + [1.0] * (len(tokens) - 1)
    assert json.dumps(render.pieces.text(tokens.ids_T)).startswith('"<|im_start|>user')


def test_the_objective_that_contributing_shows_learns_what_sft_learns(
    tiny_llama: Path, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    left = []
    for name in (str(tmp_path / "mine.py"), "sft"):
        settings = {"objective": name, "method": "bitfit", "train.steps": 2}
        one = runs.resolved(tmp_path / Path(name).stem, tiny_llama, **settings)
        left.append(train(one, runs.data_of(one, watch=0)))
    for name in [name for name in OBJECTIVES.names() if name.endswith(".py")]:
        del OBJECTIVES._classes[name]  # other tests name all objectives
    assert runs.weights(left[0].model) == runs.weights(left[1].model)
