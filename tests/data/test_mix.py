"""How files and kinds share an epoch: by weights and temperature, in an order, without copies."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api
from tunesmith.api import change_rows
from tunesmith.batches.order import Order
from tunesmith.data.mix import shares
from tunesmith.errors import DataError, SpecError
from tunesmith.settings.run import Data


def write(path: Path, number: int, start: int = 0) -> str:
    rows = [
        {
            "question": f"{hash((n, 1)):x} {hash((n, 2)):x} {'word ' * (n % 7)}",
            "answer": str(n),
            "kind": "rare" if n % 10 == 0 else "usual",
            "hard": (n * 37) % 101,
        }
        for n in range(start, start + number)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def test_shares_follow_the_temperature() -> None:
    counts = {"a": 900, "b": 100}
    assert shares(counts, 1) == pytest.approx({"a": 0.9, "b": 0.1})
    assert shares(counts, 2) == pytest.approx({"a": 0.75, "b": 0.25})  # 30 : 10
    assert shares(counts, 1e6) == pytest.approx({"a": 0.5, "b": 0.5}, abs=1e-5)


def prepared(tmp_path: Path, **data: Any) -> Any:
    paths = [write(tmp_path / "a.jsonl", 180), write(tmp_path / "b.jsonl", 20, start=500)]
    return api.check({"data": {"path": paths, "held_out": 0, **data}}).prepared


def test_an_epoch_is_shared_among_files(tmp_path: Path) -> None:
    made = prepared(tmp_path, mix={"temperature": 2})
    files = Counter(item.id.partition(":")[0] for item in made.train)
    assert sum(files.values()) == 200 and files == {"a.jsonl": 150, "b.jsonl": 50}
    assert len({id(item.tokens) for item in made.train}) < 200, "repeats share their tokens"
    assert any("b.jsonl: 20 rows, each seen 2.50 times" in note for note in made.ledger.notes)


@pytest.mark.slow  # 2 s
def test_a_column_is_evened_and_repeats_are_limited(tmp_path: Path) -> None:
    for most, rare in ((10, 100), (4, 80)):
        made = prepared(tmp_path, mix={"by": "kind", "temperature": 1e6, "most": most})
        seen = [int(item.id.partition("#")[0].rpartition(":")[2]) for item in made.train]
        assert sum(number % 10 == 1 for number in seen) == pytest.approx(rare, abs=1)
        limited = any("data.mix.most=4" in note for note in made.ledger.notes)
        assert limited == (most == 4)
    with pytest.raises(DataError, match=r"data\.mix\.by: there is no column 'sort'"):
        prepared(tmp_path, mix={"by": "sort", "temperature": 2})


def test_the_first_epoch_goes_from_short_to_long_and_the_second_does_not(tmp_path: Path) -> None:
    made = prepared(tmp_path, curriculum="length")
    lengths = [len(item.tokens[0]) for item in made.train]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1]
    order = Order(len(lengths), 16, 0, first_as_given=True)
    epochs = [
        [row for step in range(13) for row in order.taken(13 * epoch + step)] for epoch in (0, 1)
    ]
    assert epochs[0] == [*range(200)] != epochs[1] and sorted(epochs[1]) == epochs[0]


def test_a_column_orders_the_first_epoch(tmp_path: Path) -> None:
    made = prepared(tmp_path, curriculum="hard")
    numbers = [(item.id.partition(":")[0], int(item.id.rpartition(":")[2])) for item in made.train]
    hard = [((n - 1 + (500 if file == "b.jsonl" else 0)) * 37) % 101 for file, n in numbers]
    assert hard == sorted(hard)
    with pytest.raises(DataError, match=r"data\.curriculum: .*'usual'.* must be a number|'rare'"):
        prepared(tmp_path, curriculum="kind")


def test_files_are_mixed_into_one_without_copies(tmp_path: Path) -> None:
    sources = [write(tmp_path / "a.jsonl", 180), write(tmp_path / "b.jsonl", 20, start=500)]
    out = tmp_path / "out.jsonl"

    def counts() -> tuple[int, int]:
        answers = [int(json.loads(line)["answer"]) for line in out.read_text("utf-8").splitlines()]
        assert len(set(answers)) == len(answers)
        return sum(n < 500 for n in answers), sum(n >= 500 for n in answers)

    account = change_rows("mix", sources, out)
    assert counts() == (180, 20) and (account.read, account.written) == (200, 200)
    out.unlink()
    change_rows("mix", sources, out, ["shares=[3, 1]"])
    assert counts() == (60, 20)
    out.unlink()
    change_rows("mix", sources, out, ["temperature=2", "rows=40"])
    assert counts() == (30, 10)
    out.unlink()
    with pytest.raises(SpecError, match=r"rows: .*b\.jsonl has only 20 rows.* 80 rows at most"):
        change_rows("mix", sources, out, ["shares=[3, 1]", "rows=100"])
    with pytest.raises(SpecError, match="3 shares for 2 files"):
        change_rows("mix", sources, out, ["shares=[3, 1, 1]"])


def test_a_file_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a"}\n{"text": "b"}\n')
    with pytest.raises(SpecError, match="is named twice"):
        change_rows("mix", [str(file), str(tmp_path / "." / "a.jsonl")], tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_the_columns_of_a_run_may_be_called_by_numbers() -> None:
    named = {"split_by": 1, "curriculum": 2, "mix": {"by": 3, "temperature": 2}}
    data = Data.model_validate({"path": "rows.csv", **named})
    assert (data.split_by, data.curriculum, data.mix and data.mix.by) == ("1", "2", "3")
