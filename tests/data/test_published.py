"""What others published loads by itself, or after the one line that the error proposes; none as
something else than it is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import prepared, written
from tunesmith import api
from tunesmith.data.columns.choices import LETTERS
from tunesmith.data.reading import Reading
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Preference
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Data
from tunesmith.settings.sources import First
from tunesmith.settings.yaml_file import read_yaml

ROWS = 60
"""Rows of a file that are read."""
OBJECTIVE = {
    **dict.fromkeys(("pretrain_c4", "pretrain_wiki"), "pretrain"),
    **dict.fromkeys(("dpo_en", "dpo_zh", "reward_zh", "reward_stackexchange_en"), "dpo"),
    **dict.fromkeys(("pairs_afqmc_zh", "pairs_pawsx_zh", "pairs_stsb_zh"), "embed"),
    "kto_en": "kto",
    "sst2_en": "classify",
}
"""What the rows of a folder are for, where it is not sft."""
ELSEWHERE = {"README.md", "chinese_reviews", "mllm_demo"}
"""Files that are read as a folder, and those that are refused."""


def reading(path: Path, objective: str = "sft", **data: Any) -> Reading:
    settings = Data(path=str(path), limit=First(first=ROWS), **data)
    return Reading(settings, OBJECTIVES.get(objective).eats)


def proposed(error: str) -> dict[str, str]:
    """The columns of the line for a YAML file."""
    found = re.search(r"data\.columns: (\{.*\})$", error, re.MULTILINE)
    assert found is not None, error
    return read_yaml(found[1])


@pytest.mark.slow
def test_published_files_load_by_themselves_or_by_one_line(shared_data: Path) -> None:
    told: Counter[str] = Counter()
    by_line: dict[str, dict[str, str]] = {}
    for path in sorted(shared_data.rglob("*")):
        place = path.relative_to(shared_data)
        if not path.is_file() or place.parts[0] in ELSEWHERE:
            continue
        objective = OBJECTIVE.get(place.parts[0], "sft")
        try:
            rows = [example for _, example in reading(path, objective)]
            told["itself"] += 1
        except DataError as error:
            by_line[str(place)] = proposed(str(error))
            found = reading(path, objective, columns=by_line[str(place)])
            rows = [example for _, example in found]
            told["line"] += 1
        assert rows, place
        assert all(isinstance(row, OBJECTIVES.get(objective).eats) for row in rows), place
        chats = [row for row in rows if isinstance(row, Chat)]
        if len(chats) > 20:
            # Neither the questions nor the answers are one text throughout: that would be a title,
            # a version or a name.
            assert len({row.prompt.turns[-1].content for row in chats}) > len(chats) / 4, place
            assert len({row.answer for row in chats}) > 1, place
    assert by_line == BY_LINE
    assert told == {"itself": ITSELF, "line": len(BY_LINE)}


ITSELF = 75
BY_LINE = {
    "customer_service_en/abcd_sample.json": {"messages": "original"},
    "law_multiturn_zh/legal_counsel_multi_turn_with_article_v2.json": {"messages": "history"},
    "medical_o1_en/demo_data.json": {
        "question": "Question",
        "reasoning": "Complex_CoT",
        "answer": "Response",
    },
    "summarisation_zh/csl_ts_dev.tsv": {"instruction": "0", "input": "1", "output": "2"},
    "translation_en_zh/cmn.txt": {"question": "0", "answer": "1"},
}


@pytest.mark.slow
def test_every_published_file_passes_check_with_a_ledger_that_adds_up(shared_data: Path) -> None:
    walked = [
        path
        for path in sorted(shared_data.rglob("*"))
        if path.is_file() and path.relative_to(shared_data).parts[0] not in ELSEWHERE
    ]
    assert len(walked) == ITSELF + len(BY_LINE)
    for path in [*walked, shared_data / "chinese_reviews"]:
        place = path.relative_to(shared_data)
        objective = "classify" if path.is_dir() else OBJECTIVE.get(place.parts[0], "sft")
        data = {"path": str(path), "columns": BY_LINE.get(str(place)), "too_long": "drop"}
        ledger = api.check({"model": "starter", "objective": objective, "data": data}).ledger
        used = ledger.trained + ledger.watch + ledger.proof
        assert used > 0, place
        assert used + len(ledger.dropped) == ledger.rows, place
        assert sum(ledger.reasons().values()) == len(ledger.dropped), place


def tom(n: int) -> dict[str, Any]:
    return {"name": "Tom", "ages": [1, n]}


LAYOUTS: dict[str, Any] = {
    "LIMA": lambda n: {"conversations": [f"q{n}", f"a{n}"], "source": "x"},
    "MOSS": lambda n: {"conversation": [{"human": f"q{n}", "assistant": f"a{n}"}]},
    "TRL": lambda n: {
        "prompt": [{"role": "user", "content": f"q{n}"}],
        "completion": [{"role": "assistant", "content": f"a{n}"}],
    },
    "TRL, for rewards": lambda n: {
        "prompt": [{"role": "user", "content": f"q{n}"}],
        "solution": f"a{n}",
    },
    "an object as the answer": lambda n: {"question": f"q{n}", "answer": tom(n)},
    "an object in a column of another name": lambda n: {"query": f"q{n}", "solution": tom(n)},
    "objects as the answer": lambda n: {"instruction": f"q{n}", "output": [tom(n), tom(n)]},
    "an object as a turn": lambda n: {
        "messages": [
            {"role": "user", "content": f"q{n}"},
            {"role": "assistant", "content": tom(n)},
        ]
    },
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read(tmp_path: Path, name: str) -> None:
    rows = [LAYOUTS[name](n) for n in range(20)]
    found = [one for _, one in reading(written(tmp_path / "rows.jsonl", rows))]
    for n, one in enumerate(found):
        assert isinstance(one, Chat)
        assert [turn.role for turn in one.turns] == ["user", "assistant"]
        assert one.turns[0].content == f"q{n}"
        if name.startswith("an object"):
            assert json.loads(one.answer) == tom(n)
        elif name.startswith("objects"):
            assert json.loads(one.answer) == [tom(n), tom(n)]
        else:
            assert one.answer == f"a{n}"
    assert len(found) == 20


@pytest.mark.parametrize("path", [("rows",), ("data", "rows"), ("results",), ("data", "items")])
def test_rows_below_a_key_are_found(tmp_path: Path, path: tuple[str, ...]) -> None:
    whole: Any = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(20)]
    for key in reversed(path):
        whole = {"version": "1.0", key: whole}
    (tmp_path / "rows.json").write_text(json.dumps(whole), "utf-8")
    found = [one for _, one in reading(tmp_path / "rows.json")]
    assert [one.answer for one in found if isinstance(one, Chat)] == [f"a{n}" for n in range(20)]


WRONG: dict[str, Any] = {
    "SciQ": lambda n: {
        "question": f"q{n}",
        "distractor3": f"x{n}",
        "distractor1": f"y{n}",
        "distractor2": f"z{n}",
        "correct_answer": f"a{n}",
        "support": "",
    },
    "TruthfulQA": lambda n: {
        "question": f"q{n}",
        "best_answer": f"a{n}",
        "incorrect_answers": [f"x{n}", f"y{n}", f"z{n}"],
    },
    "a plain answer": lambda n: {
        "question": f"q{n}",
        "answer": f"a{n}",
        "wrong_answer_1": f"x{n}",
        "wrong_answer_2": f"y{n}",
        "wrong_answer_3": f"z{n}",
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_a_right_answer_beside_wrong_ones_is_a_question_with_options(
    tmp_path: Path, name: str
) -> None:
    rows = [WRONG[name](n) for n in range(40)]
    found = reading(written(tmp_path / "rows.jsonl", rows))
    places: Counter[str] = Counter()
    for n, (_, one) in enumerate(found):
        assert isinstance(one, Chat) and found.opened[0].reader.name == "choices"
        question, *options = one.turns[0].content.splitlines()
        assert question == f"q{n}"
        assert {line[3:] for line in options} == {f"{mark}{n}" for mark in "axyz"}
        assert options[LETTERS.index(one.answer)] == f"{one.answer}. a{n}"
        places[one.answer] += 1
    assert len(places) == 4 and max(places.values()) < 25, "the place says nothing"
    assert not [note for note in found.notes if "not used" in note]


def test_a_pair_whose_answers_are_alike_contradicts_no_other(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(6)]
    rows[2] = {"prompt": "q2", "chosen": "same  words", "rejected": "same words"}
    told = "\n".join(prepared(written(tmp_path / "rows.jsonl", rows), "dpo").ledger.notes)
    assert "1 pair has two answers that differ only in spacing (rows.jsonl:3)" in told
    assert "opposite" not in told
    calls = [
        {
            "prompt": "q",
            "chosen": [{"role": "function_call", "value": json.dumps({"name": name})}],
            "rejected": [{"role": "function_call", "value": json.dumps({"name": "stop"})}],
        }
        for name in ("look", "go")
    ]
    pairs = [one for _, one in reading(written(tmp_path / "calls.jsonl", calls), "dpo")]
    assert all(isinstance(one, Preference) for one in pairs)
    told = "\n".join(prepared(tmp_path / "calls.jsonl", "dpo").ledger.notes)
    assert "opposite" not in told and "spacing" not in told
