"""Rows as services, data bases and tools for annotation give them out: what is inside is read, in the
order in which it was said, and nothing else is learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from material.read_rows import read, read_as
from tunesmith.errors import DataError

ROWS = 6
Make = Callable[[int], Any]


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def node(name: str, parent: str | None, role: str | None, *parts: Any, **more: Any) -> Any:
    kind = "text" if all(isinstance(one, str) for one in parts) else "multimodal_text"
    message = {
        "author": {"role": role},
        "content": {"content_type": kind, "parts": list(parts)},
        "recipient": "all",
        **more,
    }
    return {"id": name, "parent": parent, "message": message if role else None}


def export(n: int, question: tuple[Any, ...] | None = None) -> dict[str, Any]:
    """A question that was answered twice, of which the second answer was kept; before it a word to
    a tool and what it returned.
    """
    nodes = [
        node("root", None, None),
        node("s", "root", "system", ""),
        node("q", "s", "user", *(question or (f"q{n}",))),
        node("old", "q", "assistant", f"bad {n}"),
        node("call", "q", "assistant", "print(1)", recipient="python"),
        node("ran", "call", "tool", "1"),
        node("new", "ran", "assistant", f"a{n}"),
    ]
    return {
        "title": f"title {n}",
        "create_time": 1.7e9,
        "mapping": {one["id"]: one for one in nodes},
        "current_node": "new",
        "conversation_id": f"c{n}",
    }


def claude(n: int) -> dict[str, Any]:
    file = {"file_name": "f.txt", "extracted_content": f"file {n}"}
    said = [
        {"sender": "human", "text": f"q{n}", "attachments": [file], "files": []},
        {"sender": "assistant", "text": f"a{n}", "attachments": [], "files": []},
    ]
    return {"uuid": f"u{n}", "name": f"title {n}", "chat_messages": said}


def w2ner(n: int) -> dict[str, Any]:
    found = [{"index": [0, 1], "type": "PER"}, {"index": [3, 5], "type": "LOC"}]
    return {"sentence": [*"张三住京", str(n), "城"], "ner": found, "word": []}


# name: objective, a row of the file, what the rows in it say
READ: dict[str, tuple[str, Make, Make]] = {
    "ChatGPT": ("sft", export, lambda n: [[f"q{n}", f"a{n}"]]),
    "Claude": ("sft", claude, lambda n: [[f"file {n}\n\nq{n}", f"a{n}"]]),
    "Qianfan": (
        "sft",
        lambda n: [
            {"system": "s", "prompt": f"q{n}", "response": [[f"a{n}"]]},
            {"prompt": f"r{n}", "response": [f"b{n}"]},
        ],
        lambda n: [["s", f"q{n}", f"a{n}", f"r{n}", f"b{n}"]],
    ),
    "Qianfan, compared": (
        "dpo",
        lambda n: [{"prompt": f"q{n}", "response": [[f"good {n}"], ["middle"], [f"bad {n}"]]}],
        lambda n: [([f"q{n}"], [f"good {n}"], [f"bad {n}"])],
    ),
    "Elasticsearch": (
        "sft",
        lambda n: {
            "_index": "qa",
            "_id": f"x{n}",
            "_score": 1,
            "_source": {"question": f"q{n}", "answer": f"a{n}"},
        },
        lambda n: [[f"q{n}", f"a{n}"]],
    ),
    "Airtable": (
        "sft",
        lambda n: {
            "id": f"rec{n}",
            "createdTime": "2024-01-01T00:00:00.000Z",
            "fields": {"Question": f"q{n}", "Answer": f"a{n}"},
        },
        lambda n: [[f"q{n}", f"a{n}"]],
    ),
    "logged requests": (
        "sft",
        lambda n: {
            "request": {"model": "m", "messages": [turn("user", f"q{n}")]},
            "response": {"choices": [{"index": 0, "message": turn("assistant", f"a{n}")}]},
        },
        lambda n: [[f"q{n}", f"a{n}"]],
    ),
    "OpenAI's evals": (
        "sft",
        lambda n: {"input": [turn("system", "s"), turn("user", f"q{n}")], "ideal": [f"a{n}", "x"]},
        lambda n: [["s", f"q{n}", f"a{n}"]],
    ),
    "Dolphin-R1": (
        "sft",
        lambda n: {"messages": [turn("user", f"q{n}")], "reasoning": f"t{n}", "answer": f"a{n}"},
        lambda n: [[f"q{n}", f"a{n}"]],
    ),
    "intents, learned as classes": (
        "classify",
        lambda n: {"tag": f"t{n % 2}", "patterns": [f"x{n}", f"y{n}"], "responses": ["ok", "yes"]},
        lambda n: [(f"x{n}", None, (f"t{n % 2}",)), (f"y{n}", None, (f"t{n % 2}",))],
    ),
    "intents, learned as answers": (
        "sft",
        lambda n: {"tag": f"t{n}", "patterns": [f"x {n}", f"y {n}"], "responses": ["ok", "yes"]},
        lambda n: [[f"x {n}", "ok"], [f"y {n}", "yes"]],
    ),
    "spaCy": (
        "classify_tokens",
        lambda n: [f"Ada {n} came", {"entities": [[0, 3, "PER"]]}],
        lambda n: [[("Ada", "PER")]],
    ),
    "spaCy, classes": (
        "classify",
        lambda n: [f"text {n}", {"cats": {"good": n % 2, "bad": 1 - n % 2}}],
        lambda n: [(f"text {n}", None, ("good" if n % 2 else "bad",))],
    ),
    "W2NER": (
        "classify_tokens",
        w2ner,
        lambda n: [[("张三", "PER"), ("京", "LOC"), ("城", "LOC")]],
    ),
    "sentence-transformers": (
        "embed",
        lambda n: {"set": [f"x{n}", f"y{n}", f"z{n}"]},
        lambda n: [(f"x{n}", f"y{n}", None, ()), (f"x{n}", f"z{n}", None, ())],
    ),
    "Step-DPO": (
        "dpo",
        lambda n: {
            "prompt": f"q{n}",
            "initial_reason_steps": "Step 1.\nStep 2:",
            "chosen": f" good {n}",
            "rejected": f" bad {n}",
        },
        lambda n: [([f"q{n}"], [f"Step 1.\nStep 2: good {n}"], [f"Step 1.\nStep 2: bad {n}"])],
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_service_gives_out_is_read(tmp_path: Path, name: str) -> None:
    objective, make, means = READ[name]
    found = read_as(tmp_path, objective, [make(n) for n in range(ROWS)])
    assert found == [one for n in range(ROWS) for one in means(n)]


def test_a_picture_in_an_export_is_named_and_not_left_out(tmp_path: Path) -> None:
    rows = [export(n, ({"content_type": "image_asset_pointer"}, "what is this?")) for n in range(3)]
    with pytest.raises(DataError, match=r"rows.jsonl:1:messages\[0\].*image"):
        list(read(written(tmp_path / "rows.jsonl", rows), "sft"))


def test_a_page_of_the_rows_api_is_its_rows(tmp_path: Path) -> None:
    rows = [
        {"row_idx": n, "row": {"question": f"q{n}", "answer": f"a{n}"}, "truncated_cells": []}
        for n in range(ROWS)
    ]
    told = {"features": [{"feature_idx": 0, "name": "question"}], "rows": rows, "partial": False}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(told, indent=1), "utf-8")
    found = [[turn.content for turn in chat.turns] for _, chat in read(path, "sft")]
    assert found == [[f"q{n}", f"a{n}"] for n in range(ROWS)]


def test_examples_of_rasa_are_texts_with_their_intent(tmp_path: Path) -> None:
    examples = [{"text": f"text {n}", "intent": f"i{n % 2}", "entities": []} for n in range(ROWS)]
    path = tmp_path / "nlu.json"
    path.write_text(
        json.dumps({"rasa_nlu_data": {"common_examples": examples, "regex_features": []}}), "utf-8"
    )
    found = [(one.text, one.labels) for _, one in read(path, "classify")]
    assert found == [(f"text {n}", (f"i{n % 2}",)) for n in range(ROWS)]


def test_options_that_are_judged_are_asked_with_the_right_one_anywhere(tmp_path: Path) -> None:
    def judged(n: int) -> dict[str, Any]:
        return {"choices": [f"right {n}", f"wrong {n}", f"worse {n}"], "labels": [1, 0, 0]}

    rows = [{"question": f"q{n}", "mc1_targets": judged(n)} for n in range(30)]
    found = [chat for _, chat in read(written(tmp_path / "rows.jsonl", rows), "sft")]
    for n, chat in enumerate(found):
        asked, answer = chat.turns[-2].content, chat.turns[-1].content
        assert f"{answer}. right {n}" in asked.split("\n")
        assert {*judged(n)["choices"]} == {line[3:] for line in asked.split("\n")[1:]}
    assert {chat.turns[-1].content for chat in found} == {"A", "B", "C"}


# name: rows, the degrees that are read
GRADED: dict[str, tuple[Make, list[float]]] = {
    "SNLI's words": (
        lambda n: {
            "sentence1": f"a{n}",
            "sentence2": f"b{n}",
            "gold_label": ("entailment", "neutral", "contradiction")[n % 3],
        },
        [1.0, 0.5, 0.0] * 2,
    ),
    "its numbers": (
        lambda n: {"premise": f"a{n}", "hypothesis": f"b{n}", "label": n % 3},
        [1.0, 0.5, 0.0] * 2,
    ),
    "two numbers, which may mean either": (
        lambda n: {"premise": f"a{n}", "hypothesis": f"b{n}", "label": n % 2},
        [0.0, 1.0] * 3,
    ),
    "numbers under other names": (
        lambda n: {"sentence1": f"a{n}", "sentence2": f"b{n}", "label": n % 3},
        [0.0, 1.0, 2.0] * 2,
    ),
    "a score beside them": (
        lambda n: {
            "sentence1": f"a{n}",
            "sentence2": f"b{n}",
            "score": n,
            "label": ("entailment", "neutral")[n % 2],
        },
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    ),
}


@pytest.mark.parametrize("name", GRADED)
def test_what_follows_from_what_is_a_degree_and_no_number(tmp_path: Path, name: str) -> None:
    make, degrees = GRADED[name]
    reading = read(written(tmp_path / "rows.jsonl", [make(n) for n in range(ROWS)]), "embed")
    assert [pair.similarity for _, pair in reading] == degrees
    told = any("entailment above neutral" in note for note in reading.notes)
    assert told == (name in ("SNLI's words", "its numbers"))


def test_numbers_that_are_named_as_degrees_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = [{"premise": f"a{n}", "hypothesis": f"b{n}", "label": n % 3} for n in range(ROWS)]
    path = written(tmp_path / "rows.jsonl", rows)
    columns = {"text": "premise", "second": "hypothesis", "similarity": "label"}
    found = [pair.similarity for _, pair in read(path, "embed", columns=columns)]
    assert found == [0.0, 1.0, 2.0] * 2
