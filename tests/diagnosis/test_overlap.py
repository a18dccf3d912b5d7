"""Rows of a test set that stand in the data are found at the rate at which they were put there."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tunesmith.api import overlap
from tunesmith.cli.main import main

WORDS = [
    "river",
    "stone",
    "cloud",
    "market",
    "engine",
    "violet",
    "copper",
    "garden",
    "signal",
    "winter",
    "harbour",
    "pencil",
    "bridge",
    "silver",
    "mountain",
]
ZH = "春夏秋冬山水风云花鸟虫鱼日月星辰东西南北高低远近"


def sentence(draw: random.Random, count: int, *, chinese: bool) -> str:
    return "".join(draw.choices(ZH, k=count)) if chinese else " ".join(draw.choices(WORDS, k=count))


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)


@pytest.mark.parametrize("chinese", [False, True])
@pytest.mark.parametrize("share", [0.01, pytest.param(0.1, marks=pytest.mark.slow)])
def test_leaks_are_found_at_the_rate_at_which_they_were_put_there(
    tmp_path: Path, chinese: bool, share: float
) -> None:
    draw = random.Random(0)
    bench = [
        {
            "id": n,
            "question": sentence(draw, 40, chinese=chinese),
            "choices": ["A", "B"],
            "answer": "A",
        }
        for n in range(300)
    ]
    leaked = draw.sample(range(300), round(3 * 300 * share))
    data = [
        {
            "instruction": sentence(draw, 40, chinese=chinese),
            "output": sentence(draw, 60, chinese=chinese),
        }
        for _ in range(500)
    ]
    for n, place in enumerate(leaked):
        text = str(bench[place]["question"])
        quoted = (
            f"{sentence(draw, 90, chinese=chinese)} {text} {sentence(draw, 90, chinese=chinese)}"
        )
        data[n]["instruction"] = (text, f"{text}!", quoted)[n % 3]
        if n % 3 == 1:
            data[n]["output"] = "A"
    (found,) = overlap(
        {"data": write(tmp_path / "rows.jsonl", data)},
        against=[write(tmp_path / "bench.jsonl", bench)],
    )
    named = {
        int(one.rpartition(":")[2]) - 1 for one, _ in (*found.exact, *found.near, *found.quoted)
    }
    assert named == {*leaked}
    assert found.rows == 300 and found.number == len(leaked)
    beside = dict((*found.exact, *found.near, *found.quoted))
    assert beside[f"bench.jsonl:{leaked[0] + 1}"] == "rows.jsonl:1"


def test_a_question_with_one_word_another_is_near_whatever_its_answer(tmp_path: Path) -> None:
    draw = random.Random(2)
    bench = [{"question": sentence(draw, 18, chinese=False), "answer": "A"} for _ in range(5)]
    asked = str(bench[3]["question"]).split()
    asked[9] = "something"
    data = [
        {"instruction": question, "output": sentence(draw, 60, chinese=False)}
        for question in (sentence(draw, 18, chinese=False), " ".join(asked))
    ]
    files = write(tmp_path / "rows.jsonl", data), write(tmp_path / "bench.jsonl", bench)
    (result,) = overlap({"data": files[0]}, against=[files[1]])
    assert result.near == (("bench.jsonl:4", "rows.jsonl:2"),) and result.number == 1


def test_other_rows_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(1)
    bench = [{"question": sentence(draw, 30, chinese=False), "answer": "yes"} for _ in range(50)]
    data = [{"instruction": sentence(draw, 30, chinese=False), "output": "yes"} for _ in range(50)]
    files = write(tmp_path / "rows.jsonl", data), write(tmp_path / "bench.jsonl", bench)
    assert main(["check", files[0], "--against", files[1]]) == 0
    assert capsys.readouterr().out == "bench.jsonl: 0 of 50 rows are in the data\n"
    data[7]["instruction"] = bench[3]["question"]
    write(tmp_path / "rows.jsonl", data)
    assert main(["check", files[0], "--against", files[1], "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)["against"]
    assert told["exact"] == [["bench.jsonl:4", "rows.jsonl:8"]]
