"""Dialogues that a text writes out in the marks of a model: each turn is whose it is, and no mark is
learned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from material.read_rows import read, read_as, values
from tunesmith.data.columns.transcripts import written_out
from tunesmith.errors import DataError
from tunesmith.settings.yaml_file import read_yaml

ASKED = [("user", "q"), ("assistant", "a"), ("user", "r"), ("assistant", "b")]
# name: the text, its turns
TEXTS = {
    "Gemma": (
        (
            "<bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\na<end_of_turn>\n"
            "<start_of_turn>user\nr<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n"
        ),
        ASKED,
    ),
    "Llama 3": (
        "<|begin_of_text|>"
        + "".join(
            f"<|start_header_id|>{who}<|end_header_id|>\n\n{said}<|eot_id|>"
            for who, said in [("system", "s"), *ASKED]
        ),
        [("system", "s"), *ASKED],
    ),
    "DeepSeek": (
        "<｜begin▁of▁sentence｜>s<｜User｜>q<｜Assistant｜>a<｜end▁of▁sentence｜>",
        [("system", "s"), *ASKED[:2]],
    ),
    "ChatGLM": ("[Round 1]\n\n问：q\n\n答：a\n\n[Round 2]\n\n问：r\n\n答：b", ASKED),
    "a round that is spoken of": (
        "Human: q\nAssistant: In [Round 1] he won.",
        [
            ("user", "q"),
            ("assistant", "In [Round 1] he won."),
        ],
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_turns_of_a_text_are_whose_they_are(name: str) -> None:
    text, turns = TEXTS[name]
    assert [(one.role, one.content) for one in written_out(text)] == turns


@pytest.mark.parametrize("nothing", ["<noinput>", "Noinput", "No input.", "<no input>"])
def test_a_word_for_no_input_is_no_input(tmp_path: Path, nothing: str) -> None:
    rows: list[Any] = [
        {"instruction": f"q{n}", "input": nothing, "output": f"a{n}"} for n in range(4)
    ]
    assert read_as(tmp_path, "sft", rows) == [[f"q{n}", f"a{n}"] for n in range(4)]


def test_no_input_within_a_text_stays(tmp_path: Path) -> None:
    rows: list[Any] = [{"instruction": "q", "input": "There is no input", "output": "a"}]
    assert read_as(tmp_path, "sft", rows) == [["q\n\nThere is no input", "a"]]


@pytest.mark.parametrize("nothing", ["None", "null", "nan", ""])
def test_a_history_that_a_table_left_out_is_none(tmp_path: Path, nothing: str) -> None:
    rows: list[Any] = [
        {"instruction": f"q{n}", "output": f"a{n}", "history": nothing} for n in range(4)
    ]
    found = [values(chat) for _, chat in read(written(tmp_path / "rows.jsonl", rows), "sft")]
    assert found == [[f"q{n}", f"a{n}"] for n in range(4)]


def test_neither_a_date_nor_a_name_is_proposed_as_the_text(tmp_path: Path) -> None:
    """Sentiment140 (Go et al. 2009), which has no header."""
    path = tmp_path / "tweets.csv"
    path.write_text(
        "".join(
            f"{n % 2 * 4},{1467810369 + n},Mon Apr 06 22:19:{n + 10} PDT 2009,NO_QUERY,"
            f"user{n},this is tweet number {n} and so nice\n"
            for n in range(12)
        ),
        "utf-8",
    )
    with pytest.raises(DataError) as told:
        read(path, "classify")
    line = str(told.value).rpartition("data.columns: ")[2]
    assert read_yaml(line) == {"text": "5", "label": "0"}


@pytest.mark.parametrize(
    ("asks", "answers"), [("客户", "客服"), ("患者", "医生"), ("买家", "卖家")]
)
def test_a_dialogue_of_chinese_speakers_is_read(asks: str, answers: str) -> None:
    turns = written_out(
        f"{asks}：能退吗？\n要多久？\n{answers}：能，三天。\n{asks}: 好的\n{answers}:再见"
    )
    assert [(turn.role, turn.content) for turn in turns] == [
        ("user", "能退吗？\n要多久？"),
        ("assistant", "能，三天。"),
        ("user", "好的"),
        ("assistant", "再见"),
    ]


def test_a_sentence_that_names_a_speaker_is_no_dialogue() -> None:
    assert written_out("我问医生：能退吗？他说客服：能。") == []
