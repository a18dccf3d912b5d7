"""What cannot be done to rows is one clear line, and nothing is half-written: no row left, a template
of a row that changed, a translation model of another pair, an endpoint that is down, a mapping that
is there, a document that cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api
from tunesmith.errors import DataError, SpecError, Stopped

ROWS = [{"question": f"Where is ada{n}@mail.com?", "answer": f"At {n}."} for n in range(6)]
ALL = "rows=[1,2,3,4,5,6]"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def changed(step: str, *settings: str, source: str = "in.jsonl") -> Callable[[], object]:
    return lambda: api.change_rows(step, source, "out.jsonl", [*settings])


def checked(**data: Any) -> Callable[[], object]:
    return lambda: api.check({"data": {"path": "in.jsonl", **data}})


ENDPOINT = ("model=http://127.0.0.1:9/v1", "teacher.name=big", "teacher.attempts=1")
CASES: dict[str, tuple[Callable[[], object], str]] = {
    "a step without its column": (
        changed("balance"),
        r"by: nothing is given.*tunesmith explain transform\.balance$",
    ),
    "clean leaves no row": (
        changed("clean", "shortest=9999"),
        r"no row is left after these steps.*\n6 rows read, 0 written\nclean left out 6 rows",
    ),
    "lengths that cross": (
        changed("clean", "shortest=9", "longest=8"),
        r"longest: no row is left: shortest \(9\) is above longest \(8\)",
    ),
    "no script": (changed("clean", "scripts=[]"), r"scripts: needs 1 or more of them; got \[\]"),
    "anonymise leaves no row": (changed("anonymise", "how=drop"), "no row is left"),
    "leave_out leaves no row": (changed("leave_out", ALL), "no row is left"),
    "a step of a run leaves no row": (
        checked(steps=[{"name": "clean", "shortest": 9999}]),
        r"no row can be used \(left out by data\.steps: 6\)",
    ),
    "an empty file": (changed("sample", "rows=2", source="empty.jsonl"), "the file is empty"),
    "a split without a side": (
        lambda: api.change_rows("split", "one.jsonl", "out"),
        "no row would be in (train|held_out), so nothing was written",
    ),
    "rows without an answer": (
        changed("convert", source="unanswered.jsonl"),
        r"no row can be used \(no answer: 1\)",
    ),
    "a template of a changed row": (
        checked(steps=["clean"], template="{quesion}: {answer}"),
        r"data\.template: there is no column quesion in this row; did you mean 'question'\?",
    ),
    "a template without a slot": (
        changed("augment", "how=templates", 'templates=["Please say"]'),
        r"templates: each needs \{text\}, where the text goes",
    ),
    "one that translates nothing": (
        changed("augment", "how=back_translation", "model=starter"),
        "must be told both languages",
    ),
    "an endpoint that is down (augment)": (
        changed("augment", "how=paraphrase", *ENDPOINT),
        r"gave no answer in 1 try .*the same command, writing to .*out\.jsonl, continues",
    ),
    "an endpoint that is down (questions)": (
        changed("questions", *ENDPOINT, source="passages.jsonl"),
        "gave no answer in 1 try",
    ),
    "a mapping that is there": (
        changed("anonymise", "mapping=there.jsonl"),
        r"mapping: there\.jsonl is there already; a mapping is never written over",
    ),
    "a mapping over the rows": (
        changed("anonymise", "mapping=out.jsonl"),
        "would overwrite the rows or their account",
    ),
    "a mapping over the account": (
        changed("anonymise", "mapping=out.jsonl.account.jsonl"),
        "would overwrite the rows or their account",
    ),
    "a mapping below a file": (changed("anonymise", "mapping=in.jsonl/map.jsonl"), r"^mapping: "),
    "an unreadable PDF": (
        changed("documents", source="broken.pdf"),
        r"broken\.pdf: this document cannot be read",
    ),
    "an empty PDF": (changed("documents", source="empty.pdf"), "this document cannot be read"),
    "an unreadable Word file": (
        changed("documents", source="broken.docx"),
        "this document cannot be read",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line_and_nothing_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pypdf", "docx") if name.endswith(("PDF", "Word file")) else ():
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    write(tmp_path / "in.jsonl", ROWS)
    write(tmp_path / "one.jsonl", ROWS[:1])
    write(tmp_path / "unanswered.jsonl", [{"question": "Why?", "answer": ""}])
    write(tmp_path / "passages.jsonl", [{"text": "A passage that says enough. " * 9}])
    write(tmp_path / "there.jsonl", [])
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "empty.pdf").touch()
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (tmp_path / "broken.docx").write_bytes(b"PK broken")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    work, told = CASES[name]
    with pytest.raises((SpecError, DataError, Stopped), match=told):
        work()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
