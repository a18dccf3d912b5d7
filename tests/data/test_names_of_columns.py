"""Columns are known by how their names end, in Chinese as in English; a text with more beside it is
never taken for a text alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from material.read_rows import read, read_as, values
from tunesmith.data.files.paths import files
from tunesmith.errors import DataError


def made(*columns: str, words: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Rows of texts; the last column holds ``words`` in turn where there are some."""
    rows = [{name: f"{name}的第{n}条，内容不同" for name in columns} for n in range(8)]
    if words:
        rows = [{**row, columns[-1]: words[n % len(words)]} for n, row in enumerate(rows)]
    return rows


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("客户问题", "标准回复"),
        ("患者提问", "医生回答"),
        ("问题描述", "解决方案"),
        ("标准问", "标准答"),
        ("提问内容", "回答内容"),
    ],
)
def test_chinese_names_are_known_by_their_ends(tmp_path: Path, question: str, answer: str) -> None:
    rows = [{"提问时间": f"2024-01-0{n}", **row} for n, row in enumerate(made(question, answer), 1)]
    assert read_as(tmp_path, "sft", rows)[1] == [rows[1][question], rows[1][answer]]


def test_what_users_thought_of_answers_is_read(tmp_path: Path) -> None:
    rows = made("用户问题", "模型回答", "用户反馈", words=("赞", "踩"))
    (talk, first), (_, second) = read_as(tmp_path, "kto", rows)[:2]
    assert (talk[1], first, second) == (rows[0]["模型回答"], True, False)


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ("提示词", "优质回答", "劣质回答"),
        ("问题", "采纳回答", "拒绝回答"),
        ("q", "winner", "loser"),
    ],
)
def test_better_and_worse_answers_are_told_apart(
    tmp_path: Path, prompt: str, chosen: str, rejected: str
) -> None:
    rows = made(prompt, chosen, rejected)
    row = rows[2]
    assert read_as(tmp_path, "dpo", rows)[2] == ([row[prompt]], [row[chosen]], [row[rejected]])


def line(error: DataError) -> str:
    return next(one.strip() for one in str(error).splitlines() if "data.columns=" in one)


@pytest.mark.parametrize(
    ("objective", "rows", "proposed"),
    [
        (
            "classify",
            [
                {**row, "airline": "AB"[n // 4], "confidence": n / 9}
                for n, row in enumerate(made("text", "airline_sentiment", words=("good", "bad")))
            ],
            "'data.columns={text: text, label: airline_sentiment}'",
        ),
        (
            "sft",
            [{"text": f"text {n}", "triples": [{"head": n, "tail": f"t{n}"}]} for n in range(8)],
            "'data.columns={question: text, answer: triples}'",
        ),
        (
            "sft",
            made("标准问题", "相似问题", "答案"),
            "'data.columns={question: 标准问题, answer: 答案}'",
        ),
        (
            "sft",
            [{**row, "tests": ["assert 1"]} for row in made("text", "code", "review")],
            "'data.columns={question: …, answer: …}'",
        ),
    ],
)
def test_a_text_with_more_beside_it_is_asked_about(
    tmp_path: Path, objective: str, rows: list[Any], proposed: str
) -> None:
    with pytest.raises(DataError) as told:
        read(written(tmp_path / "rows.jsonl", rows), objective)
    assert line(told.value) == proposed


def test_relations_are_learned_as_json_when_this_is_meant(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "triples": [{"head": n, "tail": f"t{n}"}]} for n in range(8)]
    columns = {"question": "text", "answer": "triples"}
    reading = read(written(tmp_path / "rows.jsonl", rows), "sft", columns=columns)
    assert [values(one) for _, one in reading][3] == ["text 3", '[{"head": 3, "tail": "t3"}]']


def test_what_tools_write_beside_the_rows_is_no_data(tmp_path: Path) -> None:
    for name in ("rows.json", "dataset_info.json", "dataset_dict.json", "state.json"):
        (tmp_path / name).write_text('[{"question": "q", "answer": "a"}]')
    assert [file.name for file in files(tmp_path)] == ["rows.json"]


def test_one_column_is_never_question_and_answer(tmp_path: Path) -> None:
    rows = [{"知识编号": f"K{n}", **row} for n, row in enumerate(made("标准问法", "答案内容"))]
    assert read_as(tmp_path, "sft", rows)[1] == [rows[1]["标准问法"], rows[1]["答案内容"]]
    rows = made("编号说明", "答案内容")
    with pytest.raises(DataError) as told:
        read(written(tmp_path / "rows.jsonl", rows), "sft")
    assert "question: 答案内容" not in str(told.value)


def hotpot(n: int) -> dict[str, Any]:
    context = [["Title", [f"It is a{n}.", "So."]]]
    return {"question": f"Which {n}?", "answer": f"a{n}", "context": context}


def psychology(n: int) -> dict[str, Any]:
    said = [{"answer_text": f"answer {n}", "has_label": False}]
    return {"question": f"title {n}", "description": f"more of {n}", "answers": said}


@pytest.mark.parametrize(
    ("make", "proposed"),
    [
        (hotpot, "'data.columns={question: question, answer: answer}'"),
        (
            psychology,
            "'data.columns={instruction: question, input: description, output: answers}'",
        ),
    ],
)
def test_what_a_question_is_about_is_never_left_out_in_silence(
    tmp_path: Path, make: Any, proposed: str
) -> None:
    path = written(tmp_path / "rows.jsonl", [make(n) for n in range(8)])
    with pytest.raises(DataError) as told:
        read(path, "sft")
    assert line(told.value) == proposed


def test_the_line_for_described_questions_learns_the_answers(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [psychology(n) for n in range(8)])
    columns = {"instruction": "question", "input": "description", "output": "answers"}
    found = [values(one) for _, one in read(path, "sft", columns=columns)]
    assert found[3] == ["title 3\n\nmore of 3", "answer 3"]


def test_a_text_with_two_labels_is_no_plain_text(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "coarse": n % 2, "fine": n % 4} for n in range(8)]
    with pytest.raises(DataError, match="as a text, or two, and their label") as told:
        read(written(tmp_path / "rows.jsonl", rows), "classify")
    assert "pretrain" not in str(told.value)
