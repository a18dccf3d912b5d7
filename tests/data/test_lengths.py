"""Rows that are too long lose text alone: marks of turns and the system prompt stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from material.chat_templates import TEMPLATES, byte_level
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.errors import DataError
from tunesmith.settings.run import validate

LONG = " ".join(f"word{n}" for n in range(400))


def prepared(
    path: Path, rows: Sequence[Any], objective: Any = "sft", limit: int | None = None, **data: Any
) -> Prepared:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    template, eos, *_ = TEMPLATES["chatml"]
    asked = {"model": "m", "out": "o", "objective": objective}
    asked |= {"source": {"rewards": "exact"}} if objective == "grpo" else {}
    asked["data"] = {"path": str(path), "held_out": 0, "too_long": "truncate", **data}
    return prepare(validate(asked), byte_level(template, eos), limit=limit)


def texts(found: Prepared, row: int = 0) -> list[str]:
    return [found.render.pieces.text(one.ids_T) for one in found.train[row].tokens]


def turns(*contents: str, system: str | None = "Be brief.") -> dict[str, Any]:
    who = ("user", "assistant")
    first = [{"role": "system", "content": system}] if system else []
    told = [{"role": who[n % 2], "content": text} for n, text in enumerate(contents)]
    return {"messages": [*first, *told]}


def test_only_the_beginning_of_the_question_is_cut(tmp_path: Path) -> None:
    found = prepared(tmp_path / "a.jsonl", [turns(LONG, "yes"), turns("q", "a")], max_length=200)
    (text,) = texts(found)
    head = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
    end = "word399<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>"
    assert text.startswith(head) and text.rstrip("\n").endswith(end)
    assert text[len(head) :][:60] in LONG
    # As much as fits: one more character would not.
    assert 195 <= len(found.train[0].tokens[0]) <= 200
    assert found.ledger.lengths["longest"] > 1000 and found.ledger.tokens["lost"] > 800


def test_earlier_rounds_go_first_and_whole(tmp_path: Path) -> None:
    row = turns(LONG, "one", "second?", "two", "third?", "three")
    found = prepared(tmp_path / "a.jsonl", [row], max_length=120, train_on="last")
    (text,) = texts(found)
    assert "Be brief." in text and "third?" in text and "three<|im_end|>" in text
    assert text.count("<|im_start|>") == text.count("<|im_end|>")
    short = prepared(tmp_path / "a.jsonl", [row], max_length=68, train_on="last")
    (text,) = texts(short)
    after = text.split("Be brief.<|im_end|>\n")[1]
    assert after.startswith("<|im_start|>user") and "one" not in after


def test_answers_that_are_too_long_lose_their_end_and_do_not_stop_there(tmp_path: Path) -> None:
    found = prepared(tmp_path / "a.jsonl", [turns("why?", LONG)], max_length=150)
    (text,) = texts(found)
    assert "why?<|im_end|>\n<|im_start|>assistant\nword0 word1" in text
    assert len(found.train[0].tokens[0]) == 150 and not text.endswith("<|im_end|>")


def test_both_sides_of_a_pair_answer_the_same_rest(tmp_path: Path) -> None:
    row = {"prompt": LONG, "chosen": "good", "rejected": "bad " * 9}
    found = prepared(tmp_path / "a.jsonl", [row], "dpo", max_length=150)
    first, second = texts(found)
    start = "<|im_start|>assistant\n"
    assert first.split(start)[0] == second.split(start)[0]
    assert first.startswith("<|im_start|>") and max(map(len, found.train[0].tokens)) <= 150


def test_a_format_of_ones_own_keeps_its_words(tmp_path: Path) -> None:
    row = {"question": LONG, "answer": "yes"}
    template = "ASKED: {question}\nANSWERED: {answer}"
    found = prepared(tmp_path / "a.jsonl", [row], max_length=100, template=template)
    (text,) = texts(found)
    assert text.startswith("ASKED: ") and "word399\nANSWERED: yes" in text


def test_rows_that_keep_no_answer_are_told_and_count_against_one_percent(tmp_path: Path) -> None:
    good = [turns(f"question {n}", "yes") for n in range(200)]
    bad = turns("q", "lost", system=LONG)
    found = prepared(tmp_path / "a.jsonl", [*good, bad], max_length=150)
    assert "1 of 201 rows (0.5 %) would keep no part of an answer" in "\n".join(found.ledger.notes)
    assert found.ledger.reasons() == {"nothing to train": 1}
    with pytest.raises(DataError, match=r"data\.max_length: 3 of 203 rows"):
        prepared(
            tmp_path / "a.jsonl",
            [*good, *[turns("q", f"l{n}", system=LONG) for n in range(3)]],
            max_length=150,
        )


@pytest.mark.parametrize(
    ("limit", "line"),
    [
        (200, ""),
        (5000, "data.max_length=3"),
        (500, "data.max_length=500, the most that this model"),
    ],
)
def test_no_length_is_proposed_that_the_model_does_not_read(
    tmp_path: Path, limit: int, line: str
) -> None:
    rows = [turns(f"{n} {LONG}", "yes") for n in range(4)]
    with pytest.raises(DataError) as caught:
        prepared(tmp_path / "a.jsonl", rows, limit=limit, too_long="stop", max_length=200)
    text = str(caught.value)
    assert line in text and ("data.max_length=" in text) == bool(line)
    assert "the beginning of the question" in text


def test_a_prompt_that_is_only_asked_is_dropped_and_never_cut(tmp_path: Path) -> None:
    """Runs on sampled answers refuse ``truncate``, which would ask another question."""
    rows = [turns(f"{n} {LONG}", "yes") for n in range(4)]
    with pytest.raises(DataError, match="4 of 4 prompts") as caught:
        prepared(tmp_path / "a.jsonl", rows, "grpo", too_long="stop", max_length=200)
    assert "data.too_long=drop" in str(caught.value) and "truncate" not in str(caught.value)
