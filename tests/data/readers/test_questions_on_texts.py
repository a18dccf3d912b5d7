"""Questions about texts as SQuAD, CMRC 2018, DRCD and DuReader are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.data.reading import examples
from tunesmith.errors import DataError
from tunesmith.examples import Chat
from tunesmith.settings.run import Data

TEXT = "光荣和ω-force开发了这部作品"


def answers(*texts: str) -> list[dict[str, Any]]:
    return [{"text": one, "answer_start": 0} for one in texts]


def asked(number: int, *texts: str) -> dict[str, Any]:
    return {"id": f"TRAIN_{number}_QUERY_0", "question": "谁开发的？", "answers": answers(*texts)}


def squad(number: int, *questions: dict[str, Any]) -> dict[str, Any]:
    inner = [{"id": f"TRAIN_{number}", "context": f"{TEXT}{number}", "qas": [*questions]}]
    return {"paragraphs": inner, "id": f"TRAIN_{number}", "title": f"标题{number}"}


def cmrc(number: int) -> dict[str, Any]:
    told = {"query_text": f"谁开发的第{number}部？", "query_id": f"TRAIN_{number}_QUERY_0"}
    qas = [{**told, "answers": ["光荣", "光荣和ω-force"]}]
    return {"context_id": f"TRAIN_{number}", "context_text": f"{TEXT}{number}", "qas": qas}


def found(number: int) -> dict[str, Any]:
    pages = [
        {"is_selected": False, "title": "t", "paragraphs": ["无关"]},
        {
            "is_selected": True,
            "title": "u",
            "most_related_para": 1,
            "paragraphs": ["其他", f"{TEXT}{number}"],
        },
    ]
    told = {"question": f"谁开发的第{number}部？", "question_id": number, "documents": pages}
    return {**told, "answers": [f"光荣{number}", "别的"] if number else [], "answer_docs": [1]}


def read(path: Path, value: object) -> list[tuple[str, str]]:
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    return [
        (one.turns[0].content, one.answer)
        for _, one in examples(Data(path=str(path)))
        if isinstance(one, Chat)
    ]


@pytest.mark.parametrize("rows", [1, 6, 30])
def test_one_object_of_articles_is_read_with_the_text_and_the_first_answer(
    tmp_path: Path, rows: int
) -> None:
    """Also where all questions, or all answers, are the same, as in a part of such a set."""
    articles = [squad(n, asked(n, "光荣", "ω-force")) for n in range(rows)]
    told = [(f"谁开发的？\n\n{TEXT}{n}", "光荣") for n in range(rows)]
    assert read(tmp_path / "a.json", {"version": "v1.0", "data": articles}) == told
    assert read(tmp_path / "b.json", {"data": articles}) == told


def test_many_questions_on_one_text_keep_the_text(tmp_path: Path) -> None:
    questions = [{**asked(n, f"答{n}"), "question": f"问题{n}？"} for n in range(30)]
    told = read(tmp_path / "a.json", {"data": [squad(7, *questions)]})
    assert told == [(f"问题{n}？\n\n{TEXT}7", f"答{n}") for n in range(30)]


def test_a_question_without_an_answer_is_told_and_not_trained(tmp_path: Path) -> None:
    hard = {**asked(9), "is_impossible": True, "plausible_answers": answers("错")}
    path = tmp_path / "a.json"
    told = read(path, {"data": [squad(n, asked(n, "光荣"), hard) for n in range(4)]})
    assert [answer for _, answer in told] == ["光荣"] * 4
    reading = examples(Data(path=str(path)))
    assert len(list(reading)) == 4
    assert [one.reason for one in reading.dropped] == ["no answer"] * 4


def test_the_layout_that_cmrc_began_with(tmp_path: Path) -> None:
    rows = [cmrc(n) for n in range(3)]
    assert read(tmp_path / "a.json", rows) == [
        (f"谁开发的第{n}部？\n\n{TEXT}{n}", "光荣") for n in range(3)
    ]


def test_pages_that_were_found_are_read_by_the_marked_paragraph(tmp_path: Path) -> None:
    told = read(tmp_path / "a.json", [found(n) for n in range(6)])
    assert told == [(f"谁开发的第{n}部？\n\n{TEXT}{n}", f"光荣{n}") for n in range(1, 6)]


def test_where_all_answers_are_the_same_nothing_else_is_offered_as_one(tmp_path: Path) -> None:
    rows = [
        {"query": f"问{n}", "context": f"文{n}", "answer": "是", "x_id": f"a{n}"} for n in range(9)
    ]
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.json", rows)
    assert "answer: context" not in str(caught.value) and "x_id}" not in str(caught.value)
