"""Published layouts of compared and judged answers, row by row as their authors wrote them: the side
that the row calls better is the chosen one, under every way of saying so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import written
from tunesmith.data.reading import Reading, examples
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Feedback, Preference
from tunesmith.settings.run import Data

ROWS = 12


def said(*texts: str) -> list[dict[str, str]]:
    return [
        {"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(texts)
    ]


def winner(n: int) -> str:
    return ("model_a", "model_b", "tie", "tie (bothbad)")[n % 4]


def shp(n: int) -> dict[str, Any]:
    """labels is 1 where A is better, against every habit of counting from 0."""
    a, b = (f"good {n}", f"bad {n}") if n % 2 else (f"bad {n}", f"good {n}")
    return {
        "post_id": f"p{n}",
        "domain": "askdocs_train",
        "history": f"q{n}",
        "human_ref_A": a,
        "human_ref_B": b,
        "labels": n % 2,
        "seconds_difference": 12.0,
        "score_A": 4,
        "score_B": 9,
        "score_ratio": 2.0,
    }


def arena(n: int) -> dict[str, Any]:
    texts = [f"good {n}", f"bad {n}"] if n % 4 == 0 else [f"bad {n}", f"good {n}"]
    return {
        "question_id": f"{n:x}",
        "model_a": "koala-13b",
        "model_b": "vicuna-13b",
        "winner": winner(n),
        "judge": "arena_user_1",
        "conversation_a": said(f"q{n}", texts[0]),
        "conversation_b": said(f"q{n}", texts[1]),
        "turn": 1,
        "anony": True,
        "language": "English",
        "tstamp": 1682351591.1,
    }


def lmsys(n: int) -> dict[str, Any]:
    """A table whose cells list the rounds as JSON, and a flag for each outcome."""
    texts = [f"good {n}", f"bad {n}"] if n % 4 == 0 else [f"bad {n}", f"good {n}"]
    flags = (n % 4 == 0, n % 4 == 1, n % 4 > 1)
    return {
        "id": n,
        "model_a": "gpt-4",
        "model_b": "claude",
        "prompt": json.dumps(["first", f"q{n}"]),
        "response_a": json.dumps(["same", texts[0]]),
        "response_b": json.dumps(["same", texts[1]]),
        **dict(
            zip(("winner_model_a", "winner_model_b", "winner_tie"), map(int, flags), strict=True)
        ),
    }


def ultrafeedback(n: int) -> dict[str, Any]:
    scores = [(f"middle {n}", 7.5), (f"bad {n}", 2.0), (f"good {n}", 8.5), (f"middle {n}", 5)]
    return {
        "source": "evol_instruct",
        "instruction": f"q{n}",
        "models": ["alpaca-7b", "pythia-12b", "starchat", "ultralm-13b"],
        "completions": [
            {
                "annotations": {"helpfulness": {"Rating": "3", "Rationale": "…"}},
                "model": "x",
                "principle": "helpfulness",
                "response": text,
                "critique": "…",
                "fine-grained_score": 3.0,
                "overall_score": score if n % 4 < 2 else 6,
            }
            for text, score in scores
        ],
        "correct_answers": ["None"],
    }


def binarized(n: int) -> dict[str, Any]:
    """The prompt stands in a column and at the head of both sides; messages repeat the chosen."""
    return {
        "prompt": f"q{n}",
        "prompt_id": f"{n:064x}",
        "chosen": said(f"q{n}", f"good {n}"),
        "rejected": said(f"q{n}", f"bad {n}"),
        "messages": said(f"q{n}", f"good {n}"),
        "score_chosen": 8.5,
        "score_rejected": 7.5,
    }


def webgpt(n: int) -> dict[str, Any]:
    scores = ((0.5, -0.5), (-1.0, 1.0), (0.0, 0.0), (0.0, -0.0))[n % 4]
    texts = [f"good {n}", f"bad {n}"] if n % 4 == 0 else [f"bad {n}", f"good {n}"]
    return {
        "question": {"dataset": "eli5", "id": f"x{n}", "full_text": f"q{n}"},
        "quotes_0": {"title": ["t"], "extract": ["e"]},
        "answer_0": texts[0],
        "tokens_0": {"prefix": [1], "completion": [2]},
        "score_0": scores[0],
        "quotes_1": {"title": ["t"], "extract": ["e"]},
        "answer_1": texts[1],
        "tokens_1": {"prefix": [1], "completion": [2]},
        "score_1": scores[1],
    }


def beside(n: int) -> dict[str, Any]:
    scores = [3, 1, 9] if n % 4 < 2 else [2, 2, 2]
    return {"prompt": f"q{n}", "responses": [f"mid {n}", f"bad {n}", f"good {n}"], "scores": scores}


def nectar(n: int) -> dict[str, Any]:
    ranks = [(f"mid {n}", 2), (f"good {n}", 1), (f"bad {n}", 3)]
    listed = [
        {"answer": text, "model": "x", "rank": rank if n % 4 < 2 else 1} for text, rank in ranks
    ]
    return {"prompt": f"q{n}", "num_responses": 3, "answers": listed, "turns": 1}


def alpaca_farm(n: int) -> dict[str, Any]:
    """The sides are counted from 1."""
    better = n % 2 + 1
    texts = [f"good {n}", f"bad {n}"] if better == 1 else [f"bad {n}", f"good {n}"]
    return {
        "instruction": f"q{n}",
        "input": "",
        "output_1": texts[0],
        "output_2": texts[1],
        "preference": better if n % 4 < 2 else "tie",
    }


def helpsteer2(n: int) -> dict[str, Any]:
    """The sign says which side is better, 0 neither."""
    strength = (-3, 2, 0, 0)[n % 4]
    texts = [f"good {n}", f"bad {n}"] if strength < 0 else [f"bad {n}", f"good {n}"]
    return {
        "split": "train",
        "prompt": f"q{n}",
        "response_1": texts[0],
        "response_2": texts[1],
        "preference_strength": strength,
        "preference_statement": "…",
    }


def chinese(n: int) -> dict[str, Any]:
    texts = [f"good {n}", f"bad {n}"] if n % 4 == 0 else [f"bad {n}", f"good {n}"]
    return {
        "问题": f"q{n}",
        "回答A": texts[0],
        "回答B": texts[1],
        "更好": ("A", "B", "平局", "都差")[n % 4],
    }


TIED = {arena, lmsys, ultrafeedback, webgpt, beside, nectar, alpaca_farm, helpsteer2, chinese}
"""Layouts of whose rows two in four are ties here."""
LAYOUTS = {made.__name__: made for made in (*TIED, shp, binarized)}


def read(path: Path, eats: type = Preference) -> Reading:
    return examples(Data(path=str(path)), eats)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_the_better_answer_is_chosen_and_ties_are_left_out(tmp_path: Path, name: str) -> None:
    made = LAYOUTS[name]
    reading = read(written(tmp_path / "rows.jsonl", [made(n) for n in range(ROWS)]))
    found = {located.number - 1: one for located, one in reading}
    kept = [n for n in range(ROWS) if made not in TIED or n % 4 < 2]
    assert sorted(found) == kept
    assert {one.reason for one in reading.dropped} <= {"tie"}
    for n, one in found.items():
        assert isinstance(one, Preference)
        assert one.prompt.turns[-1].content == f"q{n}"
        assert [turn.content for turn in one.chosen] == [f"good {n}"]
        assert [turn.content for turn in one.rejected] == [f"bad {n}"]
        assert one.columns["question"] == f"q{n}"


@pytest.mark.parametrize("name", sorted({*LAYOUTS} - {"chinese", "binarized"}))
def test_pairs_are_no_conversations(tmp_path: Path, name: str) -> None:
    """Under sft they are never learned as something else than they are."""
    rows = [LAYOUTS[name](n) for n in range(ROWS)]
    try:
        found = [one for _, one in read(written(tmp_path / "rows.jsonl", rows), Chat)]
    except DataError as error:
        assert "Chat" not in str(error) and "messages: conversation_a" not in str(error)
        return
    assert all(isinstance(one, Preference) for one in found)


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a label that is no side": (shp, {"labels": 2}, "rows.jsonl:1:labels"),
    "a winner that is no side": (arena, {"winner": "koala"}, "rows.jsonl:1:winner"),
    "rounds that do not match": (lmsys, {"response_a": '["one"]'}, "rows.jsonl:1:response_a"),
    "no flag at all": (lmsys, {"winner_model_a": 0}, "rows.jsonl:1:winner_model_a"),
    "a score that is no number": (webgpt, {"score_1": "high"}, "rows.jsonl:1:score_1"),
    "an answer without a score": (beside, {"scores": [1, 2, None]}, "rows.jsonl:1:scores[2]"),
    "scores for fewer answers": (beside, {"scores": [1, 2]}, "rows.jsonl:1:scores"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_row_that_does_not_say_which_is_better_is_an_error(tmp_path: Path, name: str) -> None:
    made, change, place = WRONG[name]
    rows = [{**made(0), **change}, *(made(n) for n in range(4, 8))]
    with pytest.raises(DataError) as caught:
        list(read(written(tmp_path / "rows.jsonl", rows)))
    (problem,) = caught.value.problems
    assert problem.where.endswith(place)


JUDGED = {
    "thumb": ("up", "down"),
    "label": ("+1", "-1"),
    "feedback": ("good", "bad"),
    "vote": (1, 0),
    "点赞": ("赞", "踩"),
    "是否采纳": ("是", "否"),
    "liked": ("👍", "👎"),
    "verdict": ("Positive", "Negative"),
}


@pytest.mark.parametrize("name", JUDGED)
def test_every_usual_word_for_a_good_answer_is_read(tmp_path: Path, name: str) -> None:
    good, bad = JUDGED[name]
    rows = [
        {"question": f"q{n}", "answer": f"a{n}", name: bad if n % 3 else good} for n in range(ROWS)
    ]
    found = [one for _, one in read(written(tmp_path / "rows.jsonl", rows), Feedback)]
    assert len(found) == ROWS
    for n, one in enumerate(found):
        assert isinstance(one, Feedback)
        assert one.desirable is (n % 3 == 0)
        assert one.chat.answer == f"a{n}"


def stem(n: int) -> dict[str, Any]:
    """ARC, OpenBookQA and CommonsenseQA as their authors' own files write them."""
    choices = [{"text": f"{mark}{n}", "label": mark} for mark in "ABCD"]
    return {
        "id": f"7-{n}",
        "question": {"stem": f"q{n}?", "choices": choices, "question_concept": "x"},
        "answerKey": "ABCD"[n % 4],
    }


def c3(n: int) -> list[Any]:
    question = {"question": f"q{n}?", "choice": [f"{mark}{n}" for mark in "ABCD"]}
    return [[f"男：{n}。", "女：好。"], [{**question, "answer": f"{'ABCD'[n % 4]}{n}"}], f"x-{n}"]


@pytest.mark.parametrize(("made", "before"), [(stem, 0), (c3, 2)])
def test_nested_questions_with_options_are_read(tmp_path: Path, made: Any, before: int) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([made(n) for n in range(ROWS)], ensure_ascii=False), "utf-8")
    found = [one for _, one in read(path, Chat)]
    assert len(found) == ROWS
    for n, one in enumerate(found):
        assert isinstance(one, Chat) and one.answer == "ABCD"[n % 4]
        lines = one.turns[0].content.splitlines()
        assert lines[before:] == [f"q{n}?", *(f"{mark}. {mark}{n}" for mark in "ABCD")]
        assert lines[:before] == [f"男：{n}。", "女：好。"][:before]


def helpsteer3(n: int) -> dict[str, Any]:
    """The question is a column of turns of another name."""
    return {
        "context": said(f"q{n}"),
        "response1": f"good {n}",
        "response2": f"bad {n}",
        "overall_preference": -2,
    }


def in_chinese(chosen: str, rejected: str) -> Any:
    return lambda n: {"问题": f"q{n}", chosen: f"good {n}", rejected: f"bad {n}"}


@pytest.mark.parametrize(
    "made",
    [
        helpsteer3,
        in_chinese("正例", "负例"),
        in_chinese("正样本", "负样本"),
        in_chinese("优选回答", "拒绝回答"),
    ],
)
def test_sides_and_questions_of_other_names_are_known(tmp_path: Path, made: Any) -> None:
    found = [one for _, one in read(written(tmp_path / "rows.jsonl", [made(n) for n in range(9)]))]
    for n, one in enumerate(found):
        assert isinstance(one, Preference) and one.prompt.turns[-1].content == f"q{n}"
        assert (one.chosen[0].content, one.rejected[0].content) == (f"good {n}", f"bad {n}")
    assert len(found) == 9


def test_turns_with_chinese_keys_are_a_conversation(tmp_path: Path) -> None:
    rows = [
        {"对话": [{"角色": "用户", "内容": f"q{n}"}, {"角色": "助手", "内容": f"a{n}"}]}
        for n in range(9)
    ]
    found = [one for _, one in read(written(tmp_path / "rows.jsonl", rows), Chat)]
    assert [one.answer for one in found if isinstance(one, Chat)] == [f"a{n}" for n in range(9)]
