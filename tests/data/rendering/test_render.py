"""Rendering: what is trained is exactly the answer and its stop token, whatever the chat template
does.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from material.chat_templates import CHATML, TEMPLATES, byte_level, sentencepiece_like
from tunesmith.batches.batch import Tokens
from tunesmith.data.rendering.render import Render
from tunesmith.data.rendering.text_to_ids import plain_ids
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Text, Turn
from tunesmith.settings.run import Data


def render(name: str, **data: Any) -> Render:
    template, eos, *_ = TEMPLATES[name]
    return Render(byte_level(template, eos), Data(path="x.json", **data))


def trained(rendered: Render, tokens: Tokens) -> list[str]:
    """The texts of the trained spans of a sequence."""
    spans: list[list[int]] = []
    for position, (token, weight) in enumerate(zip(tokens.ids_T, tokens.weights_T, strict=True)):
        if weight and (position == 0 or not tokens.weights_T[position - 1]):
            spans.append([])
        if weight:
            spans[-1].append(int(token))
    return [rendered.tokenizer.decode(span, clean_up_tokenization_spaces=False) for span in spans]


PARTS = [
    "",
    " ",
    "ok",
    "Hello there.",
    "答案是：人参。",
    "🙂👩‍👩‍👧",
    "a\n\nb\n",
    "  indented",
    "- x\n- y",
    "1 + 1 = 2",
    "\ttab",
    "naïve café",
    "the",
    "\n",
]


def dialogues(count: int, system: bool) -> list[Chat]:
    chance = random.Random(0)
    made = []
    for _ in range(count):
        turns = (
            [Turn("system", "".join(chance.choices(PARTS, k=2)))]
            if system and chance.random() < 0.3
            else []
        )
        for _ in range(chance.randint(1, 3)):
            turns.append(Turn("user", "".join(chance.choices(PARTS, k=3))))
            turns.append(Turn("assistant", "".join(chance.choices(PARTS, k=chance.randint(0, 3)))))
        made.append(Chat(tuple(turns)))
    return made


@pytest.mark.parametrize("name", TEMPLATES)
def test_trained_tokens_are_the_answers_and_their_stop(name: str) -> None:
    _, _, lead, stop, trims, system = TEMPLATES[name]
    made = render(name)
    for chat in dialogues(120, system):
        found = [text for tokens in made.chat(chat) for text in trained(made, tokens)]
        answers = [
            turn.content.strip() if trims else turn.content
            for turn in chat.turns
            if turn.role == "assistant"
        ]
        if (
            name == "deepseek_r1"
        ):  # the template's own prompt opens the thinking: it is closed at once
            lead = "\n</think>\n\n"
        assert found == [lead + answer + stop for answer in answers]


@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("name", TEMPLATES)
def test_context_is_what_the_model_is_asked(name: str, swallows: bool) -> None:
    template, eos, *_ = TEMPLATES[name]
    made = Render(byte_level(template, eos, swallows=swallows), Data(path="x.json"))
    for chat in dialogues(40, TEMPLATES[name][5]):
        for index, turn in enumerate(chat.turns):
            if turn.role == "assistant":
                *_, last = made.chat(Chat(chat.turns[: index + 1]))
                asked = made.prompt(Chat(chat.turns[: index + 1]))
                assert asked.dtype == np.int32
                assert last.ids_T[: len(asked)].tolist() == asked.tolist()
                assert asked.tolist() == made.pieces.start(
                    made.conversation.prompt(chat.turns[:index], ())
                )
                assert not last.weights_T[0]
                assert last.weights_T[len(asked) :].all()


@pytest.mark.parametrize(
    "name",
    ["chatml", "llama3", "gemma", "mistral", "zephyr", "phi3", "qwen3", "deepseek", "vicuna"],
)
def test_prompt_is_what_transformers_makes(name: str) -> None:
    made = render(name)
    for chat in dialogues(20, TEMPLATES[name][5]):
        messages = [{"role": turn.role, "content": turn.content} for turn in chat.turns[:-1]]
        expected = made.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
        assert made.prompt(chat).tolist() == expected


@pytest.mark.parametrize("name", ["llama3", "gemma", "mistral", "deepseek", "deepseek_r1"])
@pytest.mark.parametrize("adds", [False, True])
def test_there_is_one_bos(name: str, adds: bool) -> None:
    template, eos, *_ = TEMPLATES[name]
    made = Render(byte_level(template, eos, bos=adds), Data(path="x.json"))
    bos = made.tokenizer.bos_token_id
    for chat in dialogues(10, False):
        for tokens in made.chat(chat):
            assert tokens.ids_T.tolist().count(bos) == 1
            assert tokens.ids_T[0] == bos


def test_bos_of_the_plain_template_of_a_format_and_of_a_text() -> None:
    chat = Chat(
        (Turn("user", "the"), Turn("assistant", "a")), columns={"question": "the", "answer": "a"}
    )
    for data in (Data(path="x.json"), Data(path="x.json", template="Q: {question}\nA: {answer}")):
        made = Render(byte_level(None, "<eos>", bos=True), data)
        for ids in (made.chat(chat)[0].ids_T, made.prompt(chat), made.text(Text("the"))[0].ids_T):
            assert ids.tolist().count(made.tokenizer.bos_token_id) == 1
            assert ids[0] == made.tokenizer.bos_token_id
    none = Render(byte_level(None, "<eos>"), Data(path="x.json"))
    assert none.tokenizer.bos_token_id not in none.chat(chat)[0].ids_T


@pytest.mark.parametrize("name", ["mistral", "vicuna", "zephyr", "chatml", "alpaca"])
def test_no_space_comes_in_with_a_sentencepiece_tokenizer(name: str) -> None:
    template, eos, lead, stop, _, system = TEMPLATES[name]
    assert template is not None
    made = Render(sentencepiece_like(template, eos), Data(path="x.json"))
    for chat in dialogues(60, system):
        whole = [
            made.tokenizer.decode(tokens.ids_T, clean_up_tokenization_spaces=False)
            for tokens in made.chat(chat)
        ]
        spans = [text for tokens in made.chat(chat) for text in trained(made, tokens)]
        answers = [turn.content for turn in chat.turns if turn.role == "assistant"]
        # Decoding a span alone takes its first space away, as decoding a text does.
        assert spans == [(lead + answer + stop).removeprefix(" ") for answer in answers]
        assert all(lead + answer + stop in "".join(whole) for answer in answers)


def test_conversation_is_one_sequence_where_the_template_allows_it() -> None:
    chat = Chat(
        (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d"))
    )
    assert len(render("chatml").chat(chat)) == 1
    assert len(render("llama3").chat(chat)) == 1


def test_history_without_thinking_makes_one_sequence_for_each_answer() -> None:
    chat = Chat(
        (
            Turn("user", "a"),
            Turn("assistant", "b", reasoning="because"),
            Turn("user", "c"),
            Turn("assistant", "d", reasoning="so"),
        )
    )
    made = render("qwen3")
    first, second = made.chat(chat)
    assert trained(made, first) == ["<think>\nbecause\n</think>\n\nb<|im_end|>"]
    assert trained(made, second) == ["<think>\nso\n</think>\n\nd<|im_end|>"]
    assert "because" not in made.pieces.text(second.ids_T)


@pytest.mark.parametrize(
    ("name", "reasoning", "expected"),
    [
        ("chatml", "think", "<think>\nbecause\n</think>\n\nb<|im_end|>"),
        ("chatml", "plain", "because\n\nb<|im_end|>"),
        ("chatml", "drop", "b<|im_end|>"),
        ("qwen3", "plain", "because\n\nb<|im_end|>"),
        ("qwen3", "drop", "b<|im_end|>"),
        ("deepseek_r1", "think", "because\n</think>\n\nb<｜end▁of▁sentence｜>"),
    ],
)
def test_reasoning_is_rendered_as_asked(name: str, reasoning: str, expected: str) -> None:
    made = render(name, reasoning=reasoning)
    chat = Chat((Turn("user", "a"), Turn("assistant", "b", reasoning="because")))
    assert [text for tokens in made.chat(chat) for text in trained(made, tokens)] == [expected]
    if name == "qwen3":
        assert made.pieces.text(made.prompt(chat)).endswith("<think>\n\n</think>\n\n")


def test_which_turns_are_trained() -> None:
    turns = (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d"))
    chosen = (
        *turns[:1],
        Turn("assistant", "b", train=True),
        turns[2],
        Turn("assistant", "d", train=False),
    )

    def texts(turns: tuple[Turn, ...], train_on: str) -> list[str]:
        made = render("chatml", train_on=train_on)
        return [text for tokens in made.chat(Chat(turns)) for text in trained(made, tokens)]

    assert texts(turns, "answers") == ["b<|im_end|>", "d<|im_end|>"]
    assert texts(turns, "last") == ["d<|im_end|>"]
    assert texts(chosen, "last") == ["b<|im_end|>"]
    everything = texts(turns, "everything")
    assert everything[0].endswith("assistant\nd<|im_end|>")
    assert everything[0].startswith("user\na<|im_end|>")
    assert texts((Turn("user", "a"),), "answers") == []


def test_system_prompt_of_the_settings_is_for_rows_without_one() -> None:
    made = render("chatml", system="Be brief.")
    without, own = (
        Chat((Turn("user", "a"), Turn("assistant", "b"))),
        Chat((Turn("system", "Be long."), Turn("user", "a"), Turn("assistant", "b"))),
    )
    assert "system\nBe brief.<|im_end|>" in made.pieces.text(made.chat(without)[0].ids_T)
    assert "Be brief." in made.pieces.text(made.prompt(without))
    assert "Be brief." not in made.pieces.text(made.chat(own)[0].ids_T)


def test_template_that_refuses_says_so() -> None:
    with pytest.raises(
        DataError,
        match=r"refuses this conversation: System role not supported \(its turns: system, user\)",
    ):
        render("gemma").chat(Chat((Turn("system", "s"), Turn("user", "a"), Turn("assistant", "b"))))
    with pytest.raises(DataError, match=r"must alternate.*its turns: user, user"):
        render("gemma").chat(Chat((Turn("user", "a"), Turn("user", "b"), Turn("assistant", "c"))))


def test_system_prompt_that_would_vanish_is_an_error() -> None:
    deaf = (
        "{% for m in messages if m['role'] != 'system' %}{{ '<|im_start|>' + m['content'] + "
        "'<|im_end|>' }}{% endfor %}"
    )
    made = Render(byte_level(deaf, "<|im_end|>"), Data(path="x.json"))
    with pytest.raises(DataError, match="silently drops a system prompt"):
        made.chat(Chat((Turn("system", "s"), Turn("user", "a"), Turn("assistant", "b"))))


def test_end_of_turn_that_is_no_token_is_an_error_with_the_tail() -> None:
    made = Render(
        byte_level(CHATML.replace("<|im_end|>", "<|finish|>"), "<eos>"), Data(path="x.json")
    )
    with pytest.raises(
        DataError, match=r"ends with '.*b<\|finish\|>.*', and the stop tokens are '<eos>'"
    ):
        made.chat(Chat((Turn("user", "a"), Turn("assistant", "b"))))


def test_tokenizer_without_an_end_token_is_refused() -> None:
    tokenizer = byte_level(None, "<eos>")
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="no end token"):
        Render(tokenizer, Data(path="x.json"))


def test_stop_tokens() -> None:
    made = render("gemma")
    assert made.tokenizer.convert_ids_to_tokens(made.stop_ids) == ["<eos>", "<end_of_turn>"]


def test_tools_reach_the_model_with_and_without_a_template_that_knows_them() -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "d",
            "parameters": {"type": "object", "properties": {}},
        },
    }
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Wuhan"}}}
    turns = (
        Turn("user", "a"),
        Turn("assistant", "", tool_calls=(call,)),
        Turn("tool", "sunny"),
        Turn("assistant", "b"),
    )
    made = render("chatml")
    (tokens,) = made.chat(Chat(turns, tools=(tool,)))
    assert '"name": "weather"' in made.pieces.text(made.prompt(Chat(turns[:1], tools=(tool,))))
    assert trained(made, tokens)[0] == (
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Wuhan"}}\n</tool_call><|im_end|>'
    )
    knows = (
        "{% if tools %}{{ 'TOOLS ' + tools | tojson + '\n' }}{% endif %}"
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
        "{% for c in m['tool_calls'] or [] %}{{ 'CALL ' + c['function']['name'] }}{% endfor %}{{ "
        "m['content'] + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    made = Render(byte_level(knows, "<|im_end|>"), Data(path="x.json"))
    (tokens,) = made.chat(Chat(turns, tools=(tool,)))
    assert made.pieces.text(tokens.ids_T).startswith('TOOLS [{"type": "function"')
    assert trained(made, tokens) == ["CALL weather<|im_end|>", "b<|im_end|>"]


def test_text_ends_with_the_end_token_and_loses_nothing_in_windows() -> None:
    text = Text("the question and the answer of a person " * 10)
    made = Render(byte_level(None, "<eos>"), Data(path="x.txt"))
    whole = made.text(text)
    windows = Render(byte_level(None, "<eos>"), Data(path="x.txt"), max_length=16).text(text)
    assert len(whole) == 1
    assert made.tokenizer.convert_ids_to_tokens([int(whole[0].ids_T[-1])]) == ["<eos>"]
    assert all(2 <= len(window) <= 16 for window in windows)
    assert sum(window.scored for window in windows) == whole[0].scored == len(whole[0]) - 1
    assert [
        *windows[0].ids_T,
        *(token for window in windows[1:] for token in window.ids_T[1:]),
    ] == whole[0].ids_T.tolist()
    assert (
        len(
            Render(
                byte_level(None, "<eos>"), Data(path="x.txt", too_long="drop"), max_length=16
            ).text(text)
        )
        == 1
    )


def test_fingerprint_tells_templates_apart_and_not_days() -> None:
    assert render("chatml").fingerprint == render("chatml").fingerprint
    assert len({render(name).fingerprint for name in TEMPLATES}) == len(TEMPLATES)
    assert (
        render("chatml").fingerprint != render("chatml", template="{question}{answer}").fingerprint
    )
    dated = Render(
        byte_level("{{ strftime_now('%Y') }}" + CHATML, "<|im_end|>"), Data(path="x.json")
    )
    assert dated.pieces.text(dated.prompt(Chat((Turn("user", "a"),)))).startswith("2024")


def test_colours_show_what_is_trained() -> None:
    made = render("chatml")
    shown = made.coloured(made.chat(Chat((Turn("user", "问题"), Turn("assistant", "答案 🙂"))))[0])
    coloured = [
        shown.plain[span.start : span.end] for span in shown.spans if "green" in str(span.style)
    ]
    assert coloured == ["答案 🙂<|im_end|>"]


def test_real_tokenizer_of_the_fixture(tiny_llama: Path) -> None:
    from transformers import AutoTokenizer

    made = Render(AutoTokenizer.from_pretrained(tiny_llama), Data(path="x.json"))
    (tokens,) = made.chat(Chat((Turn("user", "a"), Turn("assistant", "b"))))
    assert trained(made, tokens) == ["b<|im_end|>"]
    assert made.stop_ids == (2,)


def test_ids_straight_from_below_are_those_of_the_tokenizer() -> None:
    tokenizer = byte_level(CHATML, "<|im_end|>")
    tokenizer.pad_token = "<|im_end|>"
    direct = plain_ids(tokenizer)
    for text in ("", "Hi there", " 你好 🙂\n", "a<|im_end|>b", "a <s> b"):
        # What a call has set is not left to the next.
        tokenizer("Hi there", truncation=True, max_length=1, padding="max_length")
        assert direct(text) == tokenizer(text, add_special_tokens=False)["input_ids"]
