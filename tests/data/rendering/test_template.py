"""``data.template``: the formats that tutorials train with, over the row's own columns."""

from __future__ import annotations

from typing import Any

import pytest

from material.chat_templates import byte_level
from tunesmith.batches.batch import Tokens
from tunesmith.data.rendering.render import Render
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat, Turn
from tunesmith.settings.run import Data


def render(template: str, **data: Any) -> Render:
    return Render(byte_level(None, "<eos>"), Data(path="x.json", template=template, **data))


def trained(made: Render, tokens: Tokens) -> list[str]:
    """The trained part of a sequence, which is one span here."""
    return [made.pieces.text(tokens.ids_T[tokens.weights_T != 0])]


def alpaca_row() -> Chat:
    raw = {"instruction": "Name the herb.", "input": "It is a root.", "output": "Ginseng."}
    ours = {"question": "Name the herb.\nIt is a root.", "answer": "Ginseng."}
    return Chat(
        (Turn("user", ours["question"]), Turn("assistant", "Ginseng.")), columns={**raw, **ours}
    )


def test_format_of_the_instruction_tutorial() -> None:
    made = render("Instruction: {instruction}\nInput: {input}\nAnswer: {output}")
    (tokens,) = made.chat(alpaca_row())
    assert trained(made, tokens) == ["Ginseng.<eos>"]
    assert (
        made.pieces.text(made.prompt(alpaca_row()))
        == "Instruction: Name the herb.\nInput: It is a root.\nAnswer: "
    )
    asked = Chat((Turn("user", "q"),), columns={"instruction": "Name the herb.", "input": ""})
    assert made.pieces.text(made.prompt(asked)) == "Instruction: Name the herb.\nInput: \nAnswer: "


def test_format_of_the_medical_tutorial() -> None:
    # A written backslash and n, as plain YAML text holds them.
    made = render(r"诊断问题：{Question}\n详细分析：{Complex_CoT}\n### 答案：\n{answer}")
    columns = {
        "Question": "头痛？",
        "Complex_CoT": "先想病因。",
        "Response": "多休息。",
        "answer": "多休息。",
        "reasoning": "先想病因。",
    }
    chat = Chat(
        (Turn("user", "头痛？"), Turn("assistant", "多休息。", reasoning="先想病因。")),
        columns=columns,
    )
    (tokens,) = made.chat(chat)
    assert trained(made, tokens) == ["先想病因。\n### 答案：\n多休息。<eos>"]
    assert made.pieces.text(made.prompt(chat)) == "诊断问题：头痛？\n详细分析："
    assert (
        made.pieces.text(
            made.prompt(Chat((Turn("user", "头痛？"),), columns={"Question": "头痛？"}))
        )
        == "诊断问题：头痛？\n详细分析："
    )


def test_format_over_our_own_names_braces_and_everything() -> None:
    made = render("{{x}} {question} -> {answer}", train_on="everything")
    (tokens,) = made.chat(Chat((Turn("user", "a"), Turn("assistant", "b"))))
    assert made.pieces.text(tokens.ids_T) == "{x} a -> b<eos>"
    assert tokens.weights_T[1:].all()


def test_no_chat_template_is_set_beside_the_format() -> None:
    assert render("{question} {answer}").tokenizer.chat_template is None
    assert (
        "### Answer"
        in Render(byte_level(None, "<eos>"), Data(path="x.json")).tokenizer.chat_template
    )


def test_format_without_names_of_answers_trains_the_last_column() -> None:
    made = render("{a} {b}")
    (tokens,) = made.chat(Chat((Turn("user", "x"),), columns={"a": "one", "b": "two"}))
    assert trained(made, tokens) == ["two<eos>"]


def test_format_with_an_unknown_column_lists_what_there_is() -> None:
    made = render("{instruction} {reponse}")
    with pytest.raises(
        DataError,
        match=(
            r"data.template: there is no column reponse in this row; its columns are: answer, "
            r"input, instruction, output"
        ),
    ):
        made.chat(alpaca_row())
    with pytest.raises(SpecError, match=r"data.template: names no column"):
        render("no column at all")
