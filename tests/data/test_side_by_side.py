"""Rows that several processes make ready are those that one makes, in their order."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from material.prepared_rows import prepared, written
from tunesmith.data import side_by_side
from tunesmith.data.rendering import text_to_ids
from tunesmith.data.rows import Encoder
from tunesmith.errors import DataError, Problem

ROWS: list[Any] = [
    {"instruction": f"Say {n} in words, please", "output": f"It is number {n}, of all {n * n}."}
    for n in range(60)
]
ROWS[20] = ROWS[3]  # a copy of a row that this process made, and one of a row of another
ROWS[50] = {**ROWS[41], "output": ROWS[41]["output"].replace(" ", "  ")}
ROWS[30] = {"instruction": "What does <|im_end|> mean?", "output": "It ends a turn: <|im_end|>"}
ROWS[33] = {"instruction": "no answer", "output": ""}


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "ALONE", 10)
    monkeypatch.setattr(side_by_side, "EACH", 7)
    monkeypatch.setattr(side_by_side, "processes", lambda: 2)


def told(found: Any) -> list[Any]:
    parts = (found.train, found.watch, found.proof)
    ids = [
        (item.id, [(tokens.ids_T.tolist(), tokens.weights_T.tolist()) for tokens in item.tokens])
        for part in parts
        for item in part
    ]
    return [found.fingerprint, found.ledger.to_json(), ids]


def test_rows_are_the_same_by_one_process_and_by_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "a.jsonl", ROWS)
    how: dict[str, Any] = {"held_out": 12, "max_length": 60, "too_long": "truncate"}
    alone = told(prepared(file, **how))
    assert "control" in json.dumps(alone[1]["notes"])
    with monkeypatch.context() as here:
        here.setattr(side_by_side, "ALONE", 10)
        here.setattr(side_by_side, "EACH", 7)
        here.setattr(side_by_side, "processes", lambda: 2)
        assert told(prepared(file, **how)) == alone


def test_rows_that_cannot_be_rendered_are_named_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, plain = written(tmp_path / "a.jsonl", ROWS), Encoder.hashes

    def hashes(self: Encoder, example: Any) -> Any:
        if "Say 4" in str(example.turns):
            raise DataError(Problem("output", "cannot be rendered"))
        return plain(self, example)

    monkeypatch.setattr(Encoder, "hashes", hashes)

    def fails() -> str:
        with pytest.raises(DataError) as raised:
            prepared(file)
        return str(raised.value)

    alone = fails()
    assert "a.jsonl:5:output: cannot be rendered (the same in 11 more rows" in alone
    monkeypatch.setattr(side_by_side, "ALONE", 10)
    monkeypatch.setattr(side_by_side, "EACH", 7)
    monkeypatch.setattr(side_by_side, "processes", lambda: 2)
    assert fails() == alone


def _numbers() -> Iterator[int]:
    yield from range(100)


def test_other_processes_do_what_is_behind_the_first_rows(
    two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    found = [*side_by_side.side_by_side(_numbers(), lambda row: row, lambda n: (n, os.getpid()))]
    assert [(row, made[0]) for row, made in found] == [(n, n) for n in range(100)]
    assert {made[1] for _, made in found[:10]} == {os.getpid()}
    others = {made[1] for _, made in found[10:]}
    assert os.getpid() not in others and len(others) in (1, 2)
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true", "it is as it was"


def test_what_is_no_error_of_the_rows_is_raised(two: None) -> None:
    def work(number: int) -> int:
        return 1 // (50 - number)

    with pytest.raises(ZeroDivisionError):
        list(side_by_side.side_by_side(_numbers(), lambda row: row, work))


def test_this_process_goes_on_where_another_was_killed(two: None) -> None:
    own = os.getpid()

    def work(number: int) -> int:
        if number == 40 and os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    found = side_by_side.side_by_side(_numbers(), lambda row: row, work)
    assert [made for _, made in found] == list(range(100))


def test_one_process_does_all_where_others_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "ALONE", 10)
    monkeypatch.setattr(side_by_side, "processes", lambda: 1)
    made = side_by_side.side_by_side(_numbers(), lambda row: row, lambda n: os.getpid())
    assert {pid for _, pid in made} == {os.getpid()}
    monkeypatch.setattr(side_by_side, "processes", lambda: 2)
    work = side_by_side.side_by_side(_numbers(), lambda row: row, lambda n: os.getpid(), alone=True)
    assert {pid for _, pid in work} == {os.getpid()}


def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes further processes work on few rows, and begin with fastokens at once."""
    pytest.importorskip("fastokens", reason="fastokens has no wheel for this machine")
    for name, number in {"ALONE": 10, "EACH": 7, "processes": lambda: 2}.items():
        monkeypatch.setattr(side_by_side, name, number)
    monkeypatch.setattr(text_to_ids.QuickIds, "OWN", 1)
    monkeypatch.setattr(text_to_ids.QuickIds, "COMPARED", 2)


def test_fastokens_makes_the_ids_of_further_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, calls = written(tmp_path / "a.jsonl", ROWS), tmp_path / "calls"
    alone = told(prepared(file))
    _small(monkeypatch)
    plain = text_to_ids._by_fastokens

    def counted(tokenizer: Any) -> Any:
        encode = plain(tokenizer)
        assert encode is not None

        def noted(text: str, **options: Any) -> Any:
            with calls.open("a") as file:  # another process cannot write to a list of this one
                file.write(f"{os.getpid()}\n")
            return encode(text, **options)

        return noted

    monkeypatch.setattr(text_to_ids, "_by_fastokens", counted)
    assert told(prepared(file)) == alone
    processes = calls.read_text().split()
    assert str(os.getpid()) not in processes and len(processes) > 60


def test_the_own_tokenizer_is_right_where_fastokens_reads_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "a.jsonl", ROWS)
    alone = told(prepared(file))
    _small(monkeypatch)
    otherwise = SimpleNamespace(ids=[5, 6])
    monkeypatch.setattr(text_to_ids, "_by_fastokens", lambda _: lambda *_, **__: otherwise)
    assert told(prepared(file)) == alone
