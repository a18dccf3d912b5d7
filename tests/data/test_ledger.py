"""The ledger: every row is accounted for, and a person can read where it went."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tunesmith import words
from tunesmith.data.ledger import REASONS, Ledger, changed_files, histogram


def filled() -> Ledger:
    ledger = Ledger(rows=10, different=8, trained=6, watch=1, proof=1, leaked_share=0.884)
    ledger.near = [(f"a.json:{row}", "a.json:1") for row in range(2, 14)]
    ledger.drop("a.json", 3, "duplicate", of="/data/a.json:1")
    ledger.drop("a.json", 4, "too long", "Hello")
    ledger.tokens = {"total": 1200, "scored": 300, "lost": 7}
    ledger.lengths = histogram([10, 20, 300])
    ledger.notes = ["A note."]
    return ledger


def test_rows_add_up_or_it_is_a_fault() -> None:
    ledger = filled()
    ledger.check()
    ledger.rows = 11
    with pytest.raises(AssertionError, match="11 rows, but 6 \\+ 2 \\+ 2 accounted for"):
        ledger.check()
    with pytest.raises(AssertionError, match="not a reason to drop a row"):
        ledger.drop("a.json", 1, "bored")


def test_json_has_its_keys_and_is_json() -> None:
    told = json.loads(json.dumps(filled().to_json()))
    keys = {
        "files",
        "rows",
        "different",
        "dropped",
        "trained",
        "watch",
        "proof",
        "leaked_share",
        "tokens",
        "lengths",
        "notes",
    }
    assert keys <= set(told)
    assert told["dropped"] == {"duplicate": 1, "too long": 1}
    assert filled().dropped[1] == {
        "file": "a.json",
        "row": 4,
        "reason": "too long",
        "seen": "Hello",
    }


def test_lines_in_both_languages() -> None:
    words.use("en")
    english = filled().lines()
    assert english[0] == "10 rows in 0 files, 8 of them different"
    assert english[1].startswith("88 % of a random held-out tenth would have a copy")
    assert "dropped 1: longer than data.max_length" in english
    near = ", ".join(f"a.json:{row} ↔ a.json:1" for row in range(2, 12))
    assert any(line.startswith("12 rows resemble") and f"({near}, …)" in line for line in english)
    assert "dropped 1: exact copies of an earlier row (a.json:3 ↔ a.json:1)" in english
    assert "7 tokens cut off (data.too_long=truncate)" in english
    assert english[-1] == "A note."
    words.use("zh")
    chinese = filled().lines()
    assert len(chinese) == len(english)
    assert chinese[0] == "0 个文件共 10 行，其中互不相同的有 8 行"
    words.use("auto")


def test_rows_that_cannot_be_used_are_not_counted_as_copies() -> None:
    words.use("en")
    ledger = filled()
    ledger.drop("a.json", 5, "tie", "Hello")
    ledger.drop("a.json", 6, "no label", "Hello")
    assert (
        ledger.lines()[0]
        == f"{ledger.rows} rows in 0 files, {ledger.rows - 2} of them usable and 8 of these different"
    )
    words.use("auto")


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_reason_has_its_words(language: str) -> None:
    words.use(language)
    ledger = Ledger(rows=len(REASONS))
    for row, reason in enumerate(REASONS):
        ledger.drop("a.json", row, reason)
    assert len(ledger.lines()) == len(REASONS) + 3
    words.use("auto")


@pytest.mark.parametrize("topic", ["ledger", "render", "check"])
def test_both_languages_have_the_same_words(topic: str) -> None:
    assert words.texts("en", topic).keys() == words.texts("zh", topic).keys()


def test_histogram_counts_every_row() -> None:
    told = histogram([1, 5, 100, 120])
    assert sum(told["counts"]) == 4
    assert told["counts"][0] == 2
    assert told["upper"][-1] >= told["longest"] == 120
    assert (told["p50"], told["p90"], told["p99"]) == (100, 120, 120)
    assert histogram([]) == {}


def test_what_changed_since_a_ledger_was_written_is_named_by_file(tmp_path: Path) -> None:
    same, longer, written = (tmp_path / f"{name}.json" for name in ("same", "longer", "written"))
    for path in (same, longer, written):
        path.write_text("[]", encoding="utf-8")
    then = {"files": [{"path": str(path), "rows": 10} for path in (same, longer, written, "gone")]}
    os.utime(written, (200, 200))
    for path in (same, longer):
        os.utime(path, (50, 50))
    rows = {same: 10, longer: 13, written: 10}
    now = Ledger(files=[{"path": str(path), "rows": count} for path, count in rows.items()])
    assert changed_files(then, now, written=100.0) == [
        f"{longer} had 10 rows when the run began and has 13 now (+3)",
        (
            f"{written} was written again since the run began; it still has 10 rows, so their "
            "contents or their order differ"
        ),
        "gone is gone",
    ]
