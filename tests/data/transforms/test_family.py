"""What holds for every step on rows, a new file of the family included: each row is accounted for
with its reason, its origin is kept by all later steps, the same call gives the same bytes, and what
was interrupted goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api
from tunesmith.data.reading import examples
from tunesmith.data.steps import OTHERS
from tunesmith.errors import SpecError
from tunesmith.settings.family import TRANSFORMS
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Data
from tunesmith.words import texts

Row = dict[str, Any]
SETTINGS = {
    "anonymise": ["how=surrogate", "key=MY_SECRET"],
    "augment": ["how=noise", "times=2"],
    "balance": ["by=source"],
    "clean": ["html=true", "shortest=12"],
    "leave_out": ["found=[empty,hollow]", "rows=[3]"],
    "mix": ["shares=[2,1]"],
    "sample": ["rows=20"],
    "split": ["held_out=0.3"],
}
"""What a step needs, or what makes it do something here; a new one is tried with its defaults."""
NAMES = [*TRANSFORMS.names(), *(name for name in OTHERS if name != "questions")]
"""Of the others ``questions`` asks a teacher: tests/teaching/test_passages.py."""
REWRITES = ("convert", "documents")
"""Steps after which every row has another form."""
WORDS = (
    *("rivers", "bakers", "astronomers", "children", "mathematicians", "old maps", "sailors"),
    *("gardeners", "clocks", "judges", "painters", "stars", "letters"),
)
MADE_BEFORE = {"file": "first.csv", "row": 7, "steps": ["clean"]}
MADE_IN_A_TABLE = {"file": "first.csv", "row": 9, "steps": ["clean", "dedup"]}


def rows() -> list[Row]:
    found: list[Row] = [
        {
            "id": n,
            "question": f"What do {WORDS[n % 7]} and {WORDS[n % 11]} say of number {n * n * 37}?",
            "answer": f"That {n} lies between {WORDS[n % 13]} and {WORDS[-n % 5]}, and {n * 91} too.",
            "source": "a" if n % 3 else "b",
        }
        for n in range(40)
    ]
    found[2]["question"] = "Who is\u200b <b>Ada</b>?   "
    found[3]["answer"] = "Write to ada@mail.com, or to the card 4539 1488 0343 6467."
    found[4] = {**found[5], "id": 4}
    found[6]["question"], found[6]["answer"] = "Hm", "No"
    found[8]["answer"] = ""
    found[9]["tunesmith_from"] = MADE_BEFORE
    found[10]["tunesmith_from"] = json.dumps(MADE_IN_A_TABLE)
    return found


def write(path: Path, found: list[Row]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), "utf-8")
    return path.name


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path / "in.jsonl", rows())
    others = [{**row, "question": f"Tell me, please: {row['question']}"} for row in rows()[11:30]]
    write(tmp_path / "other.jsonl", others)
    (tmp_path / "pages").mkdir()
    text = "# Rivers\n\nA river ends in a lake.\n\n# Lakes\n\n" + "A lake is wide. " * 400
    (tmp_path / "pages" / "a.md").write_text(text, "utf-8")
    (tmp_path / "pages" / "empty.md").write_text("\n", "utf-8")
    monkeypatch.setenv("MY_SECRET", "of these tests")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sources_of(name: str) -> list[str]:
    return {"mix": ["in.jsonl", "other.jsonl"], "documents": ["pages"]}.get(name, ["in.jsonl"])


def run(name: str, out: str, sources: list[str] | None = None) -> Any:
    """Runs a step into ``out``: a file, or what holds the files of one that writes several."""
    settings = SETTINGS.get(name, [])
    return api.change_rows(name, sources or sources_of(name), out, settings)


def out_of(name: str, stem: str) -> str:
    return stem if name == "split" else f"{stem}.jsonl"


def files_of(out: str) -> list[Path]:
    place = Path(out)
    return sorted(place.iterdir()) if place.is_dir() else [place]


def read(out: str) -> list[Row]:
    return [
        json.loads(line) for file in files_of(out) for line in file.read_text("utf-8").splitlines()
    ]


def account_of(out: str) -> list[Row]:
    text = Path(f"{out}.account.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def bare(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "tunesmith_from"}


def origin(row: Row, name: str, number: int) -> tuple[str, int]:
    """Where a row of a source says that it came from, or where it stands."""
    told = row.get("tunesmith_from")
    told = json.loads(told) if isinstance(told, str) else told
    return (told["file"], told["row"]) if told else (name, number)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_written_as_it_was_or_in_the_account_with_its_reason(
    here: Path, name: str
) -> None:
    out = out_of(name, "out")
    account = run(name, out)
    changes: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for line in account_of(out):
        changes[Path(line["file"]).name, line["row"]].append(line)
        assert line["step"] == name and line["why"]
        for why in line["why"]:
            for language in ("en", "zh"):
                assert f"why_{why}" in texts(language, "transforms"), why
    written: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in read(out):
        came = row["tunesmith_from"]
        assert came["steps"][-1] == name
        if "augmented" not in came:
            written[came["file"], came["row"]].append(bare(row))
    told = account.to_json()
    assert told["read"] + told["added"] == told["written"] + sum(
        one["did"] == "dropped" for found in changes.values() for one in found
    )
    assert told["written"] == len(read(out))
    if name == "documents":
        assert ("empty.md", 1) in changes and {file for file, _ in written} == {"a.md"}
        return
    for source in sources_of(name):
        for number, line in enumerate(Path(source).read_text("utf-8").splitlines(), 1):
            row = json.loads(line)
            found = written[origin(row, source, number)]
            did = [one["did"] for one in changes[source, number]]
            if not found:
                assert did == ["dropped"], (number, row)
            elif name not in REWRITES:
                assert did == ([] if found == [bare(row)] else ["changed"]), (number, row)
    assert account.lines(), "a person is told"


def pairs() -> list[tuple[str, str]]:
    """Each step behind each other; rows of documents are few, and hold no question."""
    found = [(one, other) for one in NAMES if one not in ("mix", "split") for other in NAMES]
    some = ("anonymise", "dedup", "sample")
    return [(a, b) for a, b in found if b != "documents" and (a != "documents" or b in some)]


@pytest.mark.parametrize(("first", "second"), pairs())
def test_later_steps_keep_where_a_row_came_from(here: Path, first: str, second: str) -> None:
    between = "between.csv" if second == "dedup" else "between.jsonl"
    run(first, between)
    out = out_of(second, "out")
    run(second, out, [between, "other.jsonl"] if second == "mix" else [between])
    found = [row["tunesmith_from"] for row in read(out)]
    known = [one for one in found if one["file"] != "other.jsonl"]
    assert known and all(one["steps"][-2:] == [first, second] for one in known)
    assert {one["file"] for one in known} <= {"in.jsonl", "first.csv", "a.md"}
    if first == "augment" and second != "dedup":
        assert any(one.get("augmented") for one in known), "what was made says so behind all steps"


AGAIN = """
import sys
from tunesmith import api
for line in sys.argv[1:]:
    name, out, sources, settings = line.split("|")
    api.change_rows(name, sources.split(" "), out, settings.split(" ") if settings else [])
"""


def test_the_same_call_gives_the_same_bytes_in_another_process(here: Path) -> None:
    lines, outs = [], []
    for name in NAMES:
        run(name, out_of(name, f"{name}-1"))
        again = out_of(name, f"{name}-2")
        settings = " ".join(SETTINGS.get(name, []))
        lines.append(f"{name}|{again}|{' '.join(sources_of(name))}|{settings}")
        outs.append((out_of(name, f"{name}-1"), again))
    other = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", AGAIN, *lines], check=True, env=other)
    for first, second in outs:
        assert [one.read_bytes() for one in files_of(first)] == [
            one.read_bytes() for one in files_of(second)
        ], first
        assert account_of(first) == account_of(second), first


@pytest.mark.parametrize("name", NAMES)
def test_what_was_interrupted_leaves_nothing_half_and_goes_on(
    here: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(name, out_of(name, "whole"))
    wanted = [one.read_bytes() for one in files_of(out_of(name, "whole"))]
    fsync = os.fsync
    out = out_of(name, "out")
    stopped = 0
    for moment in range(1, 20):
        left = moment

        def broken(handle: int) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt
            fsync(handle)

        monkeypatch.setattr(os, "fsync", broken)
        try:
            run(name, out)
        except KeyboardInterrupt:
            stopped += 1
            there = Path(out).exists()
            if there:
                assert [one.read_bytes() for one in files_of(out)] == wanted
            assert not list(here.glob(".*tmp-*")), "no part of a file stays"
            if there and name == "split":
                break  # a folder that holds files is never written over, and it is whole
            continue
        finally:
            monkeypatch.setattr(os, "fsync", fsync)
        break
    assert stopped, "it was interrupted at all"
    assert [one.read_bytes() for one in files_of(out)] == wanted
    assert account_of(out) == account_of(out_of(name, "whole"))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_stands_is_never_written_over(here: Path, name: str) -> None:
    out = out_of(name, "out")
    run(name, out)
    before = [one.read_bytes() for one in files_of(out)]
    with pytest.raises(SpecError, match=rf"^{out}: .*(already exists|not empty)"):
        run(name, out)
    assert [one.read_bytes() for one in files_of(out)] == before


@pytest.mark.parametrize("name", [name for name in NAMES if name != "documents"])
def test_every_step_tells_of_a_key_that_stands_twice(here: Path, name: str) -> None:
    text = Path("in.jsonl").read_text("utf-8")
    Path("in.jsonl").write_text(text.replace("{", '{"answer": "another", ', 1), "utf-8")
    notes = run(name, out_of(name, "out")).notes
    assert sum("in.jsonl: 1 row names 'answer' twice" in note for note in notes) == 1, notes


@pytest.mark.parametrize("name", TRANSFORMS.names())
def test_a_run_gets_the_rows_that_the_verb_writes(here: Path, name: str) -> None:
    account = run(name, "out.jsonl")
    step = {"name": name, **with_overrides({}, SETTINGS.get(name, []))}
    in_a_run = examples(Data.model_validate({"path": "in.jsonl", "steps": [step]}))
    from_the_file = examples(Data.model_validate({"path": "out.jsonl"}))
    told = [[example.turns for _, example in one] for one in (in_a_run, from_the_file)]  # type: ignore[union-attr]
    assert told[0] == told[1]
    ledger = api.check({"data": {"path": "in.jsonl", "steps": [step]}}).ledger
    assert ledger.trained + ledger.watch + ledger.proof + len(ledger.dropped) == ledger.rows
    left_out = [one["row"] for one in ledger.dropped if one["reason"] == "left out by a step"]
    assert sorted(left_out) == sorted(one.row for one in account.left_out())
    seen = [one["seen"] for one in ledger.dropped if one["reason"] == "left out by a step"]
    assert all(one.startswith(f"{name}: ") for one in seen)
