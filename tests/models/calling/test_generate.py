"""Generation: equal to plain transformers row by row, whatever the batch; explicit settings; stops;
streaming.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
)

from tunesmith.models.calling import generate as generation
from tunesmith.models.calling.generate import generate, own_defaults, stream
from tunesmith.models.calling.wording import decoded
from tunesmith.models.calling.wording import pieces as worded
from tunesmith.settings.run import Generate

PROMPTS = [
    "what is the name",
    "a",
    "the question and the answer of a person is what",
    "中医药知识",
    "the answer",
]
STOPS = [2]


@pytest.fixture(scope="module")
def tuned(tiny_llama: Path):
    model = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    with torch.no_grad():  # random weights repeat one token; larger ones make the answers differ
        for parameter in model.parameters():
            parameter.mul_(6 if parameter.ndim > 1 else 1)
    return model, AutoTokenizer.from_pretrained(tiny_llama)


def ids(tokenizer, texts=PROMPTS) -> list[np.ndarray]:
    return [np.array(tokenizer(text)["input_ids"], dtype=np.int32) for text in texts]


def alone(model, prompt: np.ndarray, *, new: int = 12, stops=STOPS, **settings) -> tuple[int, ...]:
    config = GenerationConfig(
        max_new_tokens=new, do_sample=False, eos_token_id=stops, pad_token_id=3, **settings
    )
    row = torch.tensor(prompt[None].astype(np.int64))
    output = model.generate(row, attention_mask=torch.ones_like(row), generation_config=config)[
        0, len(prompt) :
    ].tolist()
    return tuple(
        output[: next((i for i, token in enumerate(output) if token in stops), len(output))]
    )


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("budget", [20, 60, 8192])
def test_a_batch_writes_what_each_row_writes_alone(tuned, share, budget):
    model, tokenizer = tuned
    prompts = ids(tokenizer, ["what is the question: the " * 3 + text for text in PROMPTS])
    found = generate(
        model,
        tokenizer,
        prompts,
        Generate(max_new_tokens=12),
        stop_ids=STOPS,
        share=share,
        budget=budget,
    )
    assert [answer.ids for answer in found] == [alone(model, prompt) for prompt in prompts]
    assert [answer.text for answer in found] == [
        tokenizer.decode(answer.ids, skip_special_tokens=True) for answer in found
    ]
    assert len({answer.ids for answer in found}) > 1


def test_progress_is_heard_while_a_batch_is_written(tuned):
    model, tokenizer = tuned
    heard = []
    generate(
        model,
        tokenizer,
        ids(tokenizer),
        Generate(max_new_tokens=10, samples=2),
        stop_ids=[],
        progress=lambda done, total: heard.append((done, total)),
        budget=100,  # two batches
    )
    assert {total for _, total in heard} == {10}
    done = [one for one, _ in heard]
    assert done == sorted(done) and done[0] == 0 and done.count(10) == 1
    assert {*done} == {*range(11)}, "each answer's worth of tokens is told, within a batch too"


def test_the_shared_beginning_is_computed_once(tuned):
    model, tokenizer = tuned
    prompts = ids(tokenizer, ["what is the question: the " * 3 + text for text in PROMPTS])
    seen = []
    handle = model.model.embed_tokens.register_forward_hook(
        lambda _, __, output: seen.append(output.shape[0] * output.shape[1])
    )
    generate(model, tokenizer, prompts, Generate(max_new_tokens=1), stop_ids=STOPS, share=True)
    shared = sum(seen)
    seen.clear()
    generate(model, tokenizer, prompts, Generate(max_new_tokens=1), stop_ids=STOPS)
    handle.remove()
    assert shared < sum(seen) / 2


def test_a_windowed_model_is_not_shared_and_stays_right(tiny_llama):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    torch.manual_seed(1)
    size = {
        "vocab_size": 404,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    model = MistralForCausalLM(
        MistralConfig(**size, num_key_value_heads=2, sliding_window=8, initializer_range=0.3)
    ).eval()
    prompts = ids(tokenizer, ["what is the question: the " * 3 + text for text in PROMPTS])
    found = generate(
        model, tokenizer, prompts, Generate(max_new_tokens=8), stop_ids=STOPS, share=True
    )
    assert [answer.ids for answer in found] == [alone(model, prompt, new=8) for prompt in prompts]


def test_absolute_positions_survive_padding_and_sharing(tiny_llama):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    torch.manual_seed(1)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=404, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3)
    ).eval()
    prompts = ids(tokenizer, ["what is the question: the " * 3 + text for text in PROMPTS])
    for share in (False, True):
        found = generate(
            model, tokenizer, prompts, Generate(max_new_tokens=8), stop_ids=STOPS, share=share
        )
        assert [answer.ids for answer in found] == [
            alone(model, prompt, new=8) for prompt in prompts
        ]


def test_the_folders_sampling_defaults_are_reported_and_not_used(tuned):
    model, tokenizer = tuned
    prompts = ids(tokenizer)
    plain = generate(model, tokenizer, prompts, Generate(max_new_tokens=12), stop_ids=STOPS)
    kept = model.generation_config
    loud = {
        "do_sample": True,
        "temperature": 3.0,
        "top_k": 7,
        "repetition_penalty": 5.0,
        "suppress_tokens": list(range(100, 404)),
    }
    model.generation_config = GenerationConfig(**loud, decoder_start_token_id=0)
    try:
        assert (
            generate(model, tokenizer, prompts, Generate(max_new_tokens=12), stop_ids=STOPS)
            == plain
        )
        assert own_defaults(model) == loud
        assert model.generation_config.repetition_penalty == 5.0
    finally:
        model.generation_config = kept


@pytest.mark.parametrize(
    "ours, theirs",
    [
        ({"repetition_penalty": 1.5}, {"repetition_penalty": 1.5}),
        ({"no_repeat_ngram": 2}, {"no_repeat_ngram_size": 2}),
    ],
)
def test_settings_reach_the_model(tuned, ours, theirs):
    model, tokenizer = tuned
    prompts = ids(tokenizer)
    found = [
        answer.ids
        for answer in generate(
            model, tokenizer, prompts, Generate(max_new_tokens=20, **ours), stop_ids=STOPS, budget=1
        )
    ]
    assert found == [alone(model, prompt, new=20, **theirs) for prompt in prompts]
    assert found != [alone(model, prompt, new=20) for prompt in prompts]


def test_sampling_is_seeded_leaves_the_global_generator_alone_and_gives_several_answers(tuned):
    model, tokenizer = tuned
    settings = Generate(max_new_tokens=8, temperature=1.5, samples=3)
    state = torch.get_rng_state()
    first = generate(model, tokenizer, ids(tokenizer), settings, stop_ids=STOPS, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == generate(model, tokenizer, ids(tokenizer), settings, stop_ids=STOPS, seed=1)
    assert first != generate(model, tokenizer, ids(tokenizer), settings, stop_ids=STOPS, seed=2)
    assert len(first) == 15 and len({answer.ids for answer in first[:3]}) > 1


def test_stops_by_id_by_text_and_by_length_are_told_apart(tuned):
    model, tokenizer = tuned
    prompt = ids(tokenizer)[:2]
    free = generate(model, tokenizer, prompt, Generate(max_new_tokens=12), stop_ids=[])
    assert [answer.stopped for answer in free] == [False, False] and [
        len(answer.ids) for answer in free
    ] == [12, 12]
    third = free[0].ids[2]
    ended = generate(model, tokenizer, prompt, Generate(max_new_tokens=12), stop_ids=[third])[0]
    assert ended.stopped and ended.ids == free[0].ids[: free[0].ids.index(third)]
    piece = tokenizer.decode(free[0].ids[3:5])
    cut = generate(
        model, tokenizer, prompt, Generate(max_new_tokens=12, stop=(piece,)), stop_ids=[]
    )
    assert cut[0].stopped and cut[0].text == free[0].text[: free[0].text.index(piece)]
    assert piece in tokenizer.decode(cut[0].ids) and len(cut[0].ids) <= 5


def test_training_mode_comes_back(tuned):
    model, tokenizer = tuned
    model.train()
    generate(model, tokenizer, ids(tokenizer)[:1], Generate(max_new_tokens=2), stop_ids=STOPS)
    assert model.training
    model.eval()


def test_an_adapter_writes_what_its_model_writes(tuned):
    from peft import LoraConfig, get_peft_model

    model, tokenizer = tuned
    wrapped = get_peft_model(
        AutoModelForCausalLM.from_pretrained(model.name_or_path),
        LoraConfig(r=4, init_lora_weights=False),
    )
    prompts = ids(tokenizer, ["what is the question: the " * 3 + text for text in PROMPTS])
    wrapped.eval()
    for share in (False, True):
        found = generate(
            wrapped, tokenizer, prompts, Generate(max_new_tokens=6), stop_ids=STOPS, share=share
        )
        assert [answer.ids for answer in found] == [
            alone(wrapped, prompt, new=6) for prompt in prompts
        ]


def test_streaming_says_what_generate_writes_and_never_half_a_character(tuned):
    model, tokenizer = tuned
    for prompt in ids(tokenizer):
        settings = Generate(max_new_tokens=24)
        pieces = list(stream(model, tokenizer, prompt, settings, stop_ids=STOPS))
        assert (
            "".join(pieces)
            == generate(model, tokenizer, [prompt], settings, stop_ids=STOPS)[0].text
        )
        assert len(pieces) > 1


def test_a_chinese_character_of_several_tokens_comes_whole(tuned):
    _, tokenizer = tuned
    wanted = "知道了吗？药𠮷"
    tokens = [token for byte in wanted for token in tokenizer(byte)["input_ids"]]
    assert len(tokens) > len(wanted)
    pieces = list(worded(tokenizer, [*tokens, 2, 17], (), STOPS))
    assert pieces == list(wanted)


def test_streaming_holds_back_what_may_become_a_stop_text(tuned):
    _, tokenizer = tuned
    tokens = tokenizer("the name is END of it")["input_ids"]
    assert "".join(worded(tokenizer, tokens, ("END",), STOPS)) == "the name is "
    assert "".join(worded(tokenizer, tokens, ("ENDE",), STOPS)) == "the name is END of it"


def test_the_pieces_are_the_text_of_all_tokens_whatever_they_are(tuned):
    _, tokenizer = tuned
    draw = random.Random(0)
    for _ in range(20):  # bytes by chance: characters that never become whole, too
        tokens = [draw.randrange(4, len(tokenizer)) for _ in range(40)]
        assert "".join(worded(tokenizer, tokens, (), STOPS)) == decoded(tokenizer, tokens)


def test_closing_the_stream_stops_the_model_and_an_error_reaches_the_listener(tuned, monkeypatch):
    model, tokenizer = tuned
    calls = []
    handle = model.register_forward_pre_hook(lambda *_: calls.append(1))
    talk = stream(model, tokenizer, ids(tokenizer)[0], Generate(max_new_tokens=400), stop_ids=[])
    next(talk)
    talk.close()
    handle.remove()
    assert len(calls) < 300
    monkeypatch.setattr(
        generation,
        "_written",
        lambda *_, **__: (_ for _ in ()).throw(RuntimeError("out of memory")),
    )
    with pytest.raises(RuntimeError, match="out of memory"):
        list(stream(model, tokenizer, ids(tokenizer)[0], Generate(), stop_ids=STOPS))
