"""What is only asked is read as the training reads its rows: plain texts, rows of every format, and
files of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import prepared, written
from tunesmith.data.asked_rows import AskedRows, shown
from tunesmith.data.files.questions import asked_in
from tunesmith.data.prepare import Prepared
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Labelled
from tunesmith.settings.run import validate

TRAINED = [
    {"instruction": f"Translate {n}.", "input": f"word {n}", "output": f"Wort {n}"}
    for n in range(4)
]
ASKED = "Translate 0.\n\nword 0"
ROWS: list[Any] = [
    ASKED,
    {"instruction": "Translate 0.", "input": "word 0"},
    {"instruction": "Translate 0.", "input": "word 0", "output": None},
    {"messages": [{"role": "user", "content": ASKED}]},
    {"conversations": [{"from": "human", "value": ASKED}]},
    {"question": ASKED},
    {"prompt": ASKED},
    {"query": ASKED},
]


def asked_rows(found: Prepared) -> AskedRows:
    return AskedRows(found.render.data, found.ledger.files, found.objective)


def prompt(found: Prepared, row: Any) -> list[int]:
    asked = asked_rows(found).asks(row)
    assert isinstance(asked, Chat)
    return found.render.prompt(asked).tolist()


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"system": "Be short."},
        {"template": "Q: {instruction} {input} A: {output}"},
        {"template": "Q: {question} A: {answer}"},
    ],
    ids=str,
)
def test_each_form_is_asked_as_a_trained_row_is(tmp_path: Path, row: Any, settings: Any) -> None:
    found = prepared(written(tmp_path / "rows.jsonl", TRAINED), **settings)
    if "{input}" in settings.get("template", "") and "input" not in row:
        # The two columns cannot be told from the one text, which stands in the first of them.
        assert found.render.tokenizer.decode(prompt(found, row)) == f"Q: {ASKED}  A: "
        return
    ids_T, weights_T = found.train[0].tokens[0].ids_T, found.train[0].tokens[0].weights_T
    assert prompt(found, row) == ids_T[: (weights_T > 0).argmax()].tolist()


def test_a_system_turn_and_earlier_rounds_are_kept(tmp_path: Path) -> None:
    found = prepared(written(tmp_path / "rows.jsonl", TRAINED))
    turns = [
        {"role": role, "content": text}
        for role, text in (("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    ]
    asked = asked_rows(found).asks({"messages": turns})
    assert isinstance(asked, Chat)
    assert [(turn.role, turn.content) for turn in asked.turns] == [
        tuple(turn.values()) for turn in turns
    ]
    assert shown(asked) == "a\nc"


def test_columns_of_the_training_are_read_by_their_own_names(tmp_path: Path) -> None:
    rows = [{"ask": f"q{n}", "reply": f"a{n}"} for n in range(4)]
    found = prepared(
        written(tmp_path / "rows.jsonl", rows), columns={"question": "ask", "answer": "reply"}
    )
    assert prompt(found, {"ask": "q0"}) == prompt(found, "q0") == prompt(found, {"question": "q0"})


def test_a_row_without_a_question_says_what_it_lacks(tmp_path: Path) -> None:
    found = prepared(written(tmp_path / "rows.jsonl", TRAINED))
    for row in ({"colour": "red"}, {"instruction": " "}, {"messages": [{"role": "user"}]}):
        with pytest.raises(DataError, match="instruction, input"):
            asked_rows(found).asks(row)


def test_a_text_to_classify_may_be_a_row_of_two(tmp_path: Path) -> None:
    rows = [{"premise": f"p{n}", "hypothesis": f"h{n}", "label": "yn"[n % 2]} for n in range(8)]
    asked = asked_rows(prepared(written(tmp_path / "rows.jsonl", rows), "classify"))
    pair = asked.asks({"premise": "p", "hypothesis": "h"})
    assert isinstance(pair, Labelled) and (pair.text, pair.second) == ("p", "h")
    assert shown(pair) == "p\nh"
    one = asked.asks("p")
    assert isinstance(one, Labelled) and (one.text, one.second) == ("p", None)


FILES = {
    "lines.txt": ("one\n\n two \n", ["one", "two"]),
    "parted.txt": ("one\nmore\n---\n\ntwo\n\nend\n---\n", ["one\nmore", "two\n\nend"]),
    "block.yaml": (
        "- one\n- |\n  two\n  more\n- {instruction: a, input: b}\n",
        ["one", "two\nmore", {"instruction": "a", "input": "b"}],
    ),
    "rows.jsonl": ('{"question": "one"}\n{"question": "two"}\n', None),
    "rows.json": ('[{"question": "one"}, {"question": "two"}]', None),
    "table.csv": ("instruction,input\na,b\nc,d\n", None),
    "one.csv": ("question\nWhy, and how?\n", ["Why, and how?"]),
    "table.txt": ("instruction\tinput\na\tb\nc\td\ne\tf\n", None),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_lines_blocks_or_rows(tmp_path: Path, name: str) -> None:
    text, expected = FILES[name]
    (tmp_path / name).write_text(text, "utf-8")
    found = list(asked_in(tmp_path / name).values())
    if expected is not None:
        assert found == expected
    else:
        assert len(found) >= 2 and all(isinstance(one, dict) for one in found)


def test_a_file_in_another_encoding_is_read(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_bytes(
        "感冒发烧应该注意什么？\n请列出三种常见的中药。\n".encode("gb18030")
    )
    first, _ = asked_in(tmp_path / "q.txt").values()
    assert first == "感冒发烧应该注意什么？"


@pytest.mark.parametrize("text", ["", "\n\n", "---\n---\n"])
def test_a_file_without_a_question_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "q.txt").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"q\.txt"):
        asked_in(tmp_path / "q.txt")


def test_settings_take_rows_and_say_what_is_none(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": "m", "out": "o", "data": "d"}
    row = {"instruction": "a", "input": "b"}
    assert validate({**asked, "questions": ["q", row]}).questions == ("q", row)
    assert validate({**asked, "questions": row}).questions == (row,)
    assert json.loads(validate({**asked, "questions": [row]}).model_dump_json())["questions"] == [
        row
    ]
    with pytest.raises(Exception, match=r"questions\.1: "):
        validate({**asked, "questions": ["q", 5]})


def rewarded(path: Path) -> Prepared:
    return prepared(path, "grpo", {"source": {"rewards": {"name": "length", "target": 5}}})


PROMPTS = {
    "rows.jsonl": [{"question": f"say {n}"} for n in range(8)],
    "alpaca.jsonl": [{"instruction": "say", "input": f"{n}"} for n in range(8)],
    "chat.jsonl": [{"messages": [{"role": "user", "content": f"say {n}"}]} for n in range(8)],
    "lines.txt": [f"say {n}" for n in range(8)],
}


@pytest.mark.parametrize("name", PROMPTS)
def test_rows_with_a_question_alone_are_enough_for_rewards(tmp_path: Path, name: str) -> None:
    rows, path = PROMPTS[name], tmp_path / name
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text(text, "utf-8")
    found = rewarded(path)
    assert len(found.train) == 8
    asked = found.render.tokenizer.decode(found.train[3].tokens[0].ids_T.tolist())
    between = "\n\n" if name == "alpaca.jsonl" else " "
    assert asked == f"<|im_start|>user\nsay{between}3<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(DataError):
        prepared(path)


def test_an_answer_beside_the_question_is_kept_for_the_rewards(tmp_path: Path) -> None:
    rows = [{"question": f"say {n}", "answer": f"{n}"} for n in range(8)]
    found = rewarded(written(tmp_path / "rows.jsonl", rows))
    assert found.train[3].tokens[0].columns["row"]["answer"] == "3"
    rows[3]["answer"] = ""
    found = rewarded(written(tmp_path / "rows.jsonl", rows))
    assert len(found.train) == 8 and found.train[3].tokens[0].columns["row"]["answer"] == ""
