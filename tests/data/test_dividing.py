"""Rows fall to their side by what they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.api import change_rows
from tunesmith.errors import DataError, SpecError

Row = dict[str, Any]


def write(path: Path, rows: list[Row]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def rows(number: int) -> list[Row]:
    # Hashes of the number make texts that share nothing.
    return [
        {
            "id": n,
            "question": f"{hash((n, 1)):x} {hash((n, 2)):x}",
            "answer": str(n * n),
            "patient": n // 4,
            "day": f"2026-{n % 12 + 1:02}-01",
        }
        for n in range(number)
    ]


def ids(folder: Path, name: str) -> set[int]:
    return {
        json.loads(line)["id"]
        for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()
    }


def test_new_rows_move_no_old_row(tmp_path: Path) -> None:
    for number in (400, 440):
        account = change_rows(
            "split", write(tmp_path / f"{number}.jsonl", rows(number)), tmp_path / str(number)
        )
        assert account.read == account.written == number
    held, later = ids(tmp_path / "400", "held_out"), ids(tmp_path / "440", "held_out")
    assert 20 <= len(held) <= 60 and {n for n in later if n < 400} == held
    assert ids(tmp_path / "400", "train") == {*range(400)} - held


def test_groups_and_near_copies_stay_together(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", rows(400))
    change_rows("split", source, tmp_path / "by", ["by=patient", "held_out=0.3"])
    assert not {n // 4 for n in ids(tmp_path / "by", "held_out")} & {
        n // 4 for n in ids(tmp_path / "by", "train")
    }
    text = "A long question about the same thing that is asked again and again in other words"
    near = [{"id": n, "question": f"{text} {'!' * (n % 3)}", "answer": "yes"} for n in range(10)]
    other = [{**row, "id": row["id"] + 100} for row in rows(100)]
    change_rows(
        "split", write(tmp_path / "near.jsonl", near + other), tmp_path / "near", ["held_out=0.5"]
    )
    assert len(ids(tmp_path / "near", "held_out") & {*range(10)}) in (0, 10)


def test_time_cuts(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", rows(120))
    change_rows("split", source, tmp_path / "out", ["time=day", "after=2026-10-01"])
    assert {n % 12 + 1 for n in ids(tmp_path / "out", "held_out")} == {10, 11, 12}


def test_time_leaves_out_no_row_for_words_that_many_share(tmp_path: Path) -> None:
    asked = [row | {"question": f"Where in the {row['question']}?"} for row in rows(120)]
    asked[8]["question"] = asked[9]["question"]  # of September and of October
    asked[8]["answer"] = asked[9]["answer"]
    source = write(tmp_path / "in.jsonl", asked)
    how = ["time=day", "after=2026-10-01"]
    account = change_rows("split", source, tmp_path / "out", how)
    assert account.counts("dropped") == {("split", "goes_on"): 1}
    assert 8 not in ids(tmp_path / "out", "train") and len(ids(tmp_path / "out", "train")) == 89


@pytest.mark.parametrize("day", ["2026-5-3", "3/5/2026", "soon", "", "2026-05-031"])
def test_a_time_of_another_form_is_refused(tmp_path: Path, day: str) -> None:
    # As a text each of them falls on a side, the wrong one or any.
    source = write(tmp_path / "in.jsonl", [*rows(20), {**rows(1)[0], "id": 20, "day": day}])
    with pytest.raises(DataError, match=rf"in\.jsonl:21: .*{day!r}.*2026-04-01"):
        change_rows("split", source, tmp_path / "out", ["time=day", "after=2026-04-01"])
    assert not (tmp_path / "out").exists()


def test_times_of_day_stand_behind_a_day(tmp_path: Path) -> None:
    late = [{**row, "day": f"{row['day']} 10:30"} for row in rows(24)]
    source = write(tmp_path / "in.jsonl", late)
    change_rows("split", source, tmp_path / "out", ["time=day", "after=2026-04-01"])
    assert ids(tmp_path / "out", "held_out") == {n for n in range(24) if n % 12 >= 3}


def test_unlike_rows_that_begin_alike_fall_apart(tmp_path: Path) -> None:
    begin = "Say in one word what kind of answer this question asks for: "
    alike = [{**row, "question": begin + row["question"]} for row in rows(400)]
    source = write(tmp_path / "in.jsonl", alike)
    for seed in range(3):
        change_rows("split", source, tmp_path / str(seed), ["held_out=0.5", f"seed={seed}"])
        assert 160 <= len(ids(tmp_path / str(seed), "held_out")) <= 240


def test_a_group_that_goes_on_is_not_learned(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", rows(120))
    how = ["time=day", "after=2026-10-01", "by=patient"]
    account = change_rows("split", source, tmp_path / "out", how)
    train, held = ids(tmp_path / "out", "train"), ids(tmp_path / "out", "held_out")
    assert not {n // 4 for n in train} & {n // 4 for n in held}
    left = account.counts("dropped")["split", "goes_on"]
    assert left and len(train) + len(held) + left == 120
    with pytest.raises(SpecError, match=r"held_out: .*\n?.*stratify: does nothing beside time"):
        change_rows("split", source, tmp_path / "no", [*how, "held_out=0.2", "stratify=id"])


def test_every_label_gives_its_share(tmp_path: Path) -> None:
    made = [{**row, "label": "rare" if row["id"] < 20 else "usual"} for row in rows(200)]
    source = write(tmp_path / "in.jsonl", made)
    for seed in range(5):
        how = ["stratify=label", "held_out=0.1", f"seed={seed}"]
        change_rows("split", source, tmp_path / str(seed), how)
        held = ids(tmp_path / str(seed), "held_out")
        assert (sum(n < 20 for n in held), sum(n >= 20 for n in held)) == (2, 18)
    change_rows("split", source, tmp_path / "by", ["stratify=label", "held_out=0.1", "by=patient"])
    held = ids(tmp_path / "by", "held_out")
    assert 0 < len(held) <= 20 and not {n // 4 for n in held} & {
        n // 4 for n in ids(tmp_path / "by", "train")
    }


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_an_earlier_split_is_kept_whatever_is_added(tmp_path: Path, format: str) -> None:
    made = [{**row, "label": "ab"[row["id"] % 2]} for row in rows(400)]
    how = ["stratify=label", "held_out=0.2", "seed=1"]
    first = write(tmp_path / "first.jsonl", made[:300])
    change_rows("split", first, tmp_path / "first", [*how, f"format={format}"])
    more = write(tmp_path / "more.jsonl", made)
    change_rows("split", more, tmp_path / "free", how)
    change_rows("split", more, tmp_path / "kept", [*how, f"like={tmp_path / 'first'}"])
    change_rows("split", first, tmp_path / "again", how)
    before = ids(tmp_path / "again", "held_out")
    free, kept = ids(tmp_path / "free", "held_out"), ids(tmp_path / "kept", "held_out")
    assert {n for n in free if n < 300} != before == {n for n in kept if n < 300}
    assert len(kept) == 80 and sum(n % 2 for n in kept) == 40
    with pytest.raises(SpecError, match="like: none of the rows"):
        change_rows("split", more, tmp_path / "other", [*how, f"like={tmp_path}"])


def test_what_cannot_be_split_writes_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", rows(20))
    with pytest.raises(DataError, match="no row would be in held_out"):
        change_rows("split", source, tmp_path / "out", ["time=day", "after=2027"])
    with pytest.raises(SpecError, match="after and time go together"):
        change_rows("split", source, tmp_path / "out", ["after=2027"])
    with pytest.raises(SpecError, match=r"by: .*patients.*patient"):
        change_rows("split", source, tmp_path / "out", ["by=patients"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(SpecError, match="not empty"):
        change_rows("split", source, tmp_path / "full")
