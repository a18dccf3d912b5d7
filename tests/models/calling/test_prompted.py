"""Virtual tokens: what plain peft computes with them, in either layout, on every architecture;
generation; a template's slots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from transformers import AutoTokenizer

from material.architectures import ARCHITECTURES, FOREST, tiny
from material.fast import slow_but
from material.sequences import sequences
from tunesmith.batches.batch import Batch
from tunesmith.errors import ModelError, SpecError
from tunesmith.models.adapters.attach import attach
from tunesmith.models.calling.generate import generate
from tunesmith.models.calling.views import see
from tunesmith.models.loading.load import take_over_attention
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import Generate

KINDS = ("prompt", "p_tuning_v2")
WITHOUT_KEYS = {
    "bloom": "peft turns its keys round",
    "falcon": "peft gives it as many key heads as query heads",
}


def prompted(name: str, method: str, **settings: Any) -> Any:
    """A tiny model behind five virtual tokens that matter."""
    model = tiny(name).requires_grad_(False)
    take_over_attention(model)
    torch.manual_seed(1)
    made = METHODS.make(METHODS.config({"name": method, "tokens": 5, **settings})).apply(model)
    with torch.no_grad():
        made.encoder.weight.add_(torch.randn_like(made.encoder.weight))
    return made.eval()


def greedy(model: Any, prompt: np.ndarray, new: int) -> tuple[int, ...]:
    """The likeliest tokens one by one, each from a whole forward."""
    ids = torch.from_numpy(prompt.astype(np.int64))[None]
    with torch.no_grad():
        for _ in range(new):
            ids = torch.cat(
                [ids, model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)], 1
            )
    return tuple(ids[0, len(prompt) :].tolist())


@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_architecture_computes_what_plain_peft_does_and_the_same_in_a_forest(
    name: str, method: str, tmp_path: Path
) -> None:
    from peft import PeftModel

    model = prompted(name, method)
    model.save_pretrained(tmp_path)
    batch = Batch.grow(sequences())
    with torch.no_grad():
        padded = see(model, batch.padded()).logprobs_N
        if name in FOREST:
            torch.testing.assert_close(see(model, batch).logprobs_N, padded, rtol=1e-4, atol=1e-4)
        if method == "prompt" or name not in WITHOUT_KEYS:
            theirs = see(
                PeftModel.from_pretrained(tiny(name, attn_implementation="eager"), tmp_path).eval(),
                batch.padded(),
            )
            torch.testing.assert_close(theirs.logprobs_N, padded, rtol=1e-4, atol=1e-4)
        with model.disable_adapter():
            plain = see(model, batch.padded()).logprobs_N
        untouched = see(tiny(name, attn_implementation="eager"), batch.padded()).logprobs_N
        torch.testing.assert_close(plain, untouched, rtol=1e-4, atol=1e-4)
    assert (plain - padded).abs().max() > 1e-2


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize(
    "name",
    slow_but(["mistral+short window"], ["llama", "gpt2", "mistral+short window", "gemma2"]),
)
def test_a_batch_writes_what_each_row_writes_alone(
    name: str, method: str, share: bool, tiny_llama: Path
) -> None:
    model = prompted(name, method)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    draw = np.random.default_rng(0)
    common = draw.integers(4, 320, 20)
    prompts = [
        np.concatenate([common, draw.integers(4, 320, size)]).astype(np.int32)
        for size in (3, 9, 1, 12)
    ]
    settings = Generate(max_new_tokens=8)
    found = [
        answer.ids
        for answer in generate(model, tokenizer, prompts, settings, stop_ids=[], share=share)
    ]
    assert found == [greedy(model, prompt, 8) for prompt in prompts] and len(set(found)) > 1
    with model.disable_adapter():
        off = [
            answer.ids
            for answer in generate(model, tokenizer, prompts, settings, stop_ids=[], share=share)
        ]
    assert off == [greedy(tiny(name), prompt, 8) for prompt in prompts]
    assert off != found or "window" in name  # which ends before the virtual tokens


@pytest.mark.parametrize("method", KINDS)
def test_a_penalty_sees_the_row_and_not_what_stands_for_virtual_tokens(
    method: str, tiny_llama: Path
) -> None:
    model, tokenizer = prompted("llama", method), AutoTokenizer.from_pretrained(tiny_llama)
    ids = torch.arange(5, 20)[None]
    settings = Generate(max_new_tokens=6, repetition_penalty=3.0)
    found = generate(model, tokenizer, [ids[0].numpy()], settings, stop_ids=[])[0].ids
    with torch.no_grad():
        for _ in range(6):
            scores = model(input_ids=ids, use_cache=False).logits[0, -1]
            seen = scores[ids[0]]
            scores[ids[0]] = torch.where(seen < 0, seen * 3.0, seen / 3.0)
            ids = torch.cat([ids, scores.argmax()[None, None]], 1)
    assert found == tuple(ids[0, 15:].tolist())


@pytest.mark.parametrize("method", [*KINDS, "prefix", "p_tuning"])
def test_checkpointing_keeps_the_gradient_in_padded_rows_too(method: str) -> None:
    model = (
        METHODS.make(METHODS.config({"name": method, "tokens": 5}))
        .apply(tiny("llama").requires_grad_(False))
        .train()
    )
    batch = Batch.grow(sequences()).padded()
    found = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.zero_grad()
        see(model, batch).logprobs_N.sum().backward()
        found.append(
            torch.cat(
                [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
            )
        )
    assert found[0].norm() > 0
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", [*KINDS, "prefix", "p_tuning"])
def test_it_begins_as_the_hard_prompt_that_it_is_given(method: str, tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    words = AutoTokenizer.from_pretrained(tiny_llama)("the question is", return_tensors="pt")[
        "input_ids"
    ]
    row = torch.arange(30, 60)[None]
    with torch.no_grad():
        wanted = base(input_ids=torch.cat([words, row], 1), use_cache=False).logits[
            :, words.shape[1] :
        ]
        settings = {"name": method, "tokens": words.shape[1], "init": "the question is"}
        model = METHODS.make(METHODS.config(settings)).apply(base)
        torch.testing.assert_close(
            model.eval()(input_ids=row, use_cache=False).logits, wanted, rtol=1e-5, atol=1e-5
        )


def test_virtual_tokens_for_another_base_are_refused(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    # A soft prompt does not know how deep its base was.
    for method, changes in (
        ("prompt", {"hidden_size": 32}),
        ("p_tuning_v2", {"num_hidden_layers": 3}),
    ):
        prompted("llama", method).save_pretrained(tmp_path / method)
        config = tiny("llama").config
        config.update(changes)
        with pytest.raises(ModelError, match="made for another base"):
            attach(AutoModelForCausalLM.from_config(config), tmp_path / method)


def test_an_empty_text_to_begin_with_is_refused(tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    with pytest.raises(SpecError, match="no words to start from"):
        METHODS.make(METHODS.config({"name": "prompt", "init": ""})).apply(
            AutoModelForCausalLM.from_pretrained(tiny_llama)
        )


@pytest.mark.parametrize("method", KINDS)
def test_a_classifiers_head_is_trained_and_saved_for_plain_peft(
    method: str, tiny_llama: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    model = METHODS.make(METHODS.config({"name": method, "tokens": 5})).apply(
        classifier(tiny_llama, 1)
    )
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert {"base.score.weight", "encoder.weight"} == trained
    with torch.no_grad():
        for name in trained:
            model.get_parameter(name).add_(torch.randn_like(model.get_parameter(name)))
    model.save_pretrained(tmp_path)
    batch = Batch.grow(sequences()).padded()
    plain = AutoModelForSequenceClassification.from_pretrained(
        tiny_llama, num_labels=3
    ).requires_grad_(False)
    theirs = PeftModel.from_pretrained(plain, tmp_path).eval()
    assert theirs.peft_config["default"].task_type == "SEQ_CLS"
    with torch.no_grad():
        wanted = see(model.eval(), batch).outputs_BC
        torch.testing.assert_close(
            see(attach(classifier(tiny_llama, 2), tmp_path), batch).outputs_BC, wanted
        )
        for row, tokens in enumerate(tokens for example in batch.sequences for tokens in example):
            alone = theirs(input_ids=torch.from_numpy(tokens.ids_T.astype(np.int64))[None]).logits[
                0
            ]
            torch.testing.assert_close(alone, wanted[row], rtol=1e-4, atol=1e-4)
    (tmp_path / "adapter_model.safetensors").write_bytes(
        save({"prompt_embeddings": torch.zeros(5, model.encoder.weight.shape[1])})
    )
    with pytest.raises(ModelError, match=r"score\.weight"):
        attach(classifier(tiny_llama, 2), tmp_path)


def classifier(folder: Path, seed: int) -> Any:
    """Of three classes, whose new head is drawn by ``seed``."""
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3).requires_grad_(
        False
    )
