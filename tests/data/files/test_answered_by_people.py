"""What people said of rows in Argilla, UIE, PaLM, OpenAI, ChatterBot and Rasa is what is learned:
never the name of who said it, and nothing that nobody said.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from material.read_rows import read, read_as, values
from tunesmith.errors import DataError

ROWS = 6


def response(value: Any, status: str = "submitted") -> dict[str, Any]:
    return {"user_id": "u1", "value": value, "status": status}


def feedback(n: int) -> dict[str, Any]:
    said = [response(f"draft {n}", "draft"), response(f"answer {n}")]
    beside = {"response-suggestion": None, "response-suggestion-metadata": {"type": None}}
    return {"question": f"question {n}", "response": said, **beside, "external_id": str(n)}


def records(n: int) -> dict[str, Any]:
    asked = {"id": f"r{n}", "fields": {"prompt": f"question {n}"}, "suggestions": {}}
    return {**asked, "responses": {"answer": [response(f"answer {n}")]}, "status": "completed"}


def dataset(n: int) -> dict[str, Any]:
    said = {
        "label.responses": ["unsure", ["pos", "neg"][n % 2]],
        "label.responses.users": ["u1", "u2"],
        "label.responses.status": ["discarded", "submitted"],
        "label.suggestion": "pos",
    }
    return {"id": f"r{n}", "status": "completed", "text": f"text {n}", **said}


def first(n: int, **said: Any) -> dict[str, Any]:
    beside = {"prediction": [{"label": "neg", "score": 0.9}], "annotation_agent": "ann"}
    return {"inputs": {"text": f"Ada in Paris {n}"}, **beside, "status": "Validated", **said}


def pirate(n: int) -> dict[str, Any]:
    turns = [("user", f"question {n}"), ("assistant", f"answer {n}")]
    shown = [{"input": {"content": "hi"}, "output": {"content": "arr"}}]
    said = [{"author": author, "content": content} for author, content in turns]
    return {"context": "You are a pirate.", "examples": shown, "messages": said}


def preferred(n: int) -> dict[str, Any]:
    sides = {name: [{"role": "assistant", "content": f"{name} {n}"}] for name in ("good", "bad")}
    return {
        "input": {"messages": [{"role": "user", "content": f"question {n}"}], "tools": []},
        "preferred_output": sides["good"],
        "non_preferred_output": sides["bad"],
    }


def found(n: int) -> dict[str, Any]:
    names = [{"text": text, "start": 0, "end": 2} for text in ("张三", "李四")]
    return {"content": f"张三和李四在北京 {n}", "result_list": names, "prompt": "人名"}


def palm(n: int) -> dict[str, Any]:
    return {"context": "Be short.", "input_text": f"question {n}", "output_text": f"answer {n}"}


def annotated(n: int) -> dict[str, Any]:
    return first(n, annotation="pos")


def tagged(n: int) -> dict[str, Any]:
    return first(n, annotation=[["PER", 0, 3]])


@pytest.mark.parametrize(
    ("objective", "make", "value"),
    [
        ("sft", feedback, ["question 1", "answer 1"]),
        ("sft", records, ["question 1", "answer 1"]),
        ("classify", dataset, ("text 1", None, ("neg",))),
        ("classify", annotated, ("Ada in Paris 1", None, ("pos",))),
        ("classify_tokens", tagged, [("Ada", "PER")]),
        ("sft", pirate, ["You are a pirate.", "hi", "arr", "question 1", "answer 1"]),
        ("sft", palm, ["Be short.", "question 1", "answer 1"]),
        ("dpo", preferred, (["question 1"], ["good 1"], ["bad 1"])),
        ("sft", found, ["人名\n\n张三和李四在北京 1", "张三\n李四"]),
    ],
)
def test_what_was_said_is_learned(tmp_path: Path, objective: str, make: Any, value: Any) -> None:
    assert read_as(tmp_path, objective, [make(n) for n in range(ROWS)])[1] == value


def test_examples_before_a_talk_are_not_trained(tmp_path: Path) -> None:
    chat, _ = [
        one for _, one in read(written(tmp_path / "rows.jsonl", [pirate(0), pirate(1)]), "sft")
    ]
    assert [turn.train for turn in chat.turns] == [None, None, False, None, None]


@pytest.mark.parametrize(
    ("objective", "rows"),
    [
        ("sft", [{**feedback(0), "response": [response("later", "draft")]}, feedback(1)]),
        ("sft", [{**records(0), "responses": {}}, records(1)]),
        ("classify", [{**dataset(0), "label.responses.status": ["draft", "draft"]}, dataset(1)]),
        ("classify", [first(0, annotation=None), first(1, annotation="pos")]),
    ],
)
def test_what_nobody_said_is_no_row(tmp_path: Path, objective: str, rows: list[Any]) -> None:
    reading = read(written(tmp_path / "rows.jsonl", rows), objective)
    assert len([values(one) for _, one in reading]) == 1
    assert [row.reason for row in reading.dropped] == ["not a row"]


def test_the_yaml_of_a_chat_bot_is_read(tmp_path: Path) -> None:
    talks, intents = tmp_path / "talks.yml", tmp_path / "nlu.yml"
    talks.write_text(
        "categories:\n- food\nconversations:\n- - Do you eat?\n  - Never.\n- - Hungry?\n  - No.\n"
    )
    assert [values(one) for _, one in read(talks, "sft")] == [
        ["Do you eat?", "Never."],
        ["Hungry?", "No."],
    ]
    intents.write_text(
        'version: "3.1"\nnlu:\n- intent: greet\n  examples: |\n    - hey\n    - hello\n'
        "- intent: go\n  examples: |\n    - to [Berlin](city)\n- lookup: city\n  examples: |\n    - Paris\n"
    )
    assert [values(one) for _, one in read(intents, "classify")] == [
        ("hey", None, ("greet",)),
        ("hello", None, ("greet",)),
        ("to Berlin", None, ("go",)),
    ]


@pytest.mark.parametrize(
    "row",
    [
        {"fields": {"a": "b"}, "responses": {"answer": [1, None, "x"]}, "suggestions": {}},
        {"text": "t", "label.responses": 3, "label.responses.status": ["submitted"]},
        {"text": "t", "label.responses": ["a"], "label.responses.status": None},
        {**first(0, annotation=[["PER"], "x"]), "text": "Ada"},
        {"content": "t", "prompt": "p", "result_list": [{"text": 3}]},
    ],
)
def test_odd_values_are_told_and_never_a_fault(tmp_path: Path, row: Any) -> None:
    for objective in ("sft", "classify", "classify_tokens"):
        with suppress(DataError):
            read_as(tmp_path, objective, [row] * 3)
