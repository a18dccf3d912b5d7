"""Tables and lists as people fill them in and put them together: what a header says beside a name,
the header once more, marks of encodings between lines, options and thoughts in cells of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from material.read_rows import read, read_as, values
from tunesmith.data.columns.choices import options_of
from tunesmith.data.columns.names import cores
from tunesmith.examples import Chat

ROWS = 8


def table(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    "header",
    [
        "*问题(必填),*答案(必填),分类",
        "问题（选填，一行一个）,答案【必填】,分类",
        "\ufeff\ufeff问题,答案,分类",
        "Question [required],Answer (text),Topic",
    ],
)
def test_what_a_form_says_beside_a_name_is_no_name(tmp_path: Path, header: str) -> None:
    rows = [f"第{n}个问题在哪里,第{n}个答案在这里,地理" for n in range(ROWS)]
    found = read(table(tmp_path / "form.csv", header.replace("，", "、"), rows), "sft")
    assert [values(example) for _, example in found] == [
        [f"第{n}个问题在哪里", f"第{n}个答案在这里"] for n in range(ROWS)
    ]


def test_a_name_that_is_all_aside_stays_what_it_is():
    assert cores("(question)") == ("question",)


@pytest.mark.parametrize("at", [3, 2000])
def test_the_header_once_more_is_no_row(tmp_path: Path, at: int) -> None:
    """As ``cat a.csv b.csv`` leaves it."""
    rows = [f"q{n},a{n}" for n in range(at + 3)]
    rows.insert(at, "question,answer")
    reading = read(table(tmp_path / "two.csv", "question,answer", rows), "sft")
    found = [values(example) for _, example in reading]
    assert found == [[f"q{n}", f"a{n}"] for n in range(at + 3)]
    assert [(row.number, row.reason) for row in reading.dropped] == [(at + 1, "not a row")]
    assert any("the header once more" in note for note in reading.notes)


def test_a_row_that_stands_twice_makes_no_header(tmp_path: Path) -> None:
    rows = ["good film,pos", "bad film,neg", "good film,pos", "so so,neg"] * 3
    path = table(tmp_path / "rows.csv", "good film,pos", rows[1:])
    reading = read(path, "classify", columns={"text": "0", "label": "1"})
    assert len(list(reading)) == 12


def test_a_mark_between_lines_that_were_put_together_is_no_text(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"question": f"q{n}", "answer": f"a{n}"}) + "\n" for n in range(3))
    path = tmp_path / "rows.jsonl"
    path.write_text(f"\ufeff{lines}\ufeff{lines}", "utf-8")
    found = [values(example) for _, example in read(path, "sft")]
    assert found == [[f"q{n}", f"a{n}"] for n in range(3)] * 2


OPTIONS = {
    "A. 甲 B. 乙 C. 丙": ("甲", "乙", "丙"),
    "A.甲；B.乙；C.丙": ("甲", "乙", "丙"),
    "(A) one, two (B) three": ("one, two", "three"),
    "A、甲\nB、乙": ("甲", "乙"),
    "有|没有|无法确定": ("有", "没有", "无法确定"),
    '["x|y", "z"]': ("x|y", "z"),
}


@pytest.mark.parametrize("cell", OPTIONS)
@pytest.mark.parametrize("name", ["options", "alternatives", "选项"])
def test_options_in_one_cell_are_each_their_own(cell: str, name: str) -> None:
    assert options_of({"question": "q", name: cell}).texts == OPTIONS[cell]


def test_questions_with_options_under_another_name_keep_them(tmp_path: Path) -> None:
    """ReCO (Wang et al. 2020)."""
    rows: list[Any] = [
        {
            "query": f"q{n}",
            "passage": f"p{n}",
            "alternatives": "有|没有|无法确定",
            "answer": ("有", "没有", "无法确定")[n % 3],
        }
        for n in range(ROWS)
    ]
    assert read_as(tmp_path, "sft", rows) == [
        [f"p{n}\nq{n}\nA. 有\nB. 没有\nC. 无法确定", "ABC"[n % 3]] for n in range(ROWS)
    ]


@pytest.mark.parametrize(
    ("row", "thought"),
    [
        ({"question": "q", "answer": "a", "cot": "t", "label": "x"}, "t"),
        ({"instruction": "q", "input": "", "output": "a", "reasoning_content": "t"}, "t"),
        ({"prompt": "q", "completion": "a", "思维链": "t"}, "t"),
        ({"question": "q", "answer": "<think>t</think>a", "cot": "t"}, "t"),
        ({"question": "q", "answer": "a", "cot": None}, None),
        ({"question": "q", "answer": "a", "explanation": "since"}, None),
    ],
)
def test_a_thought_in_a_column_of_its_own_is_the_reasoning(
    tmp_path: Path, row: dict[str, Any], thought: str | None
) -> None:
    for _, chat in read(written(tmp_path / "rows.jsonl", [row] * 3), "sft"):
        assert isinstance(chat, Chat)
        assert values(chat) == ["q", "a"]
        assert chat.turns[-1].reasoning == thought


def test_lines_of_sentence_pairs_leave_their_key(tmp_path: Path) -> None:
    """Chinese STS-B."""
    path = tmp_path / "sts.txt"
    path.write_text(
        "".join(f"2012test-{n:04d}||第{n}架飞机起飞||第{n}架正在起飞||{n % 6}\n" for n in range(9)),
        "utf-8",
    )
    assert [values(example) for _, example in read(path, "embed")] == [
        (f"第{n}架飞机起飞", f"第{n}架正在起飞", float(n % 6), ()) for n in range(9)
    ]
