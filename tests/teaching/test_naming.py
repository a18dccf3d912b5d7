"""A model's second pass over personal data: what it names is replaced where it stands, and nothing
that it made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from material.teaching_server import Teacher, teaching
from tunesmith.api import change_rows, check
from tunesmith.errors import DataError, SpecError, TunesmithError
from tunesmith.teaching.naming import named_in

TEXTS = [
    "小王昨天来过，说腰疼。",
    "Yesterday Ada Bell called about the pump.",
    "The pump is broken, and it leaks.",
    "腰疼的小王今天好些了，电话13800138000。",
]
SAID = {
    TEXTS[0]: '好的：[{"text": "小王", "kind": "name"}, {"text": "老李", "kind": "name"}]',
    TEXTS[1]: '[{"text": "Ada Bell", "kind": "name"}, {"text": "pump", "kind": "machine"}]',
    TEXTS[2]: "There is nothing here.",
    TEXTS[3]: "[]",
}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with teaching(monkeypatch, SAID, "[]") as there:
        yield [*there, "teacher.attempts=1", "teacher.requests=1"]


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "in.jsonl"
    rows = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS]
    path.write_text("".join(rows), "utf-8")
    return str(path)


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]


def test_what_an_endpoint_names_is_replaced_wherever_it_stands(
    tmp_path: Path, source: str, endpoint: list[str]
) -> None:
    change_rows("anonymise", source, tmp_path / "rules.jsonl", ["how=mask"])
    assert "小王" in texts(tmp_path / "rules.jsonl")[0], "the rules do not find it"
    out = tmp_path / "out.jsonl"
    account = change_rows("anonymise", source, out, ["how=mask", *endpoint])
    assert texts(out) == [
        "[姓名]昨天来过，说腰疼。",
        "Yesterday [NAME] called about the pump.",
        TEXTS[2],
        "腰疼的[姓名]今天好些了，电话[电话]。",
    ]
    assert [(one.row, one.why) for one in account.changes()] == [
        (1, ("name",)),
        (2, ("name",)),
        (4, ("name", "phone")),
    ]
    told = "\n".join(account.lines())
    assert (
        "1 of 4 answers of the model held no list" in told and "4 questions to the model, " in told
    )
    assert not (tmp_path / "out.jsonl.partial").exists()


def test_a_text_that_no_context_holds_is_asked_about_in_parts(
    tmp_path: Path, endpoint: list[str]
) -> None:
    long = "这件事情说了很久。" * 400 + "昨天小王来过。" + "x" * 2000
    short = "A short one."
    rows = [json.dumps({"text": text}) + "\n" for text in (long, short)]
    (tmp_path / "in.jsonl").write_text("".join(rows), "utf-8")
    Teacher.said = {short: "[" * 5000 + "]" * 5000}
    Teacher.otherwise = '[{"text": "小王", "kind": "name"}]'
    account = change_rows("anonymise", str(tmp_path / "in.jsonl"), tmp_path / "o.jsonl", endpoint)
    assert "".join(Teacher.asked) == long + short and max(map(len, Teacher.asked)) <= 1500
    assert all(part.endswith("。") for part in Teacher.asked[:2])
    assert "小王" not in texts(tmp_path / "o.jsonl")[0]
    assert f"1 of {len(Teacher.asked)} answers" in "\n".join(account.lines())


def test_an_endpoint_that_goes_down_is_gone_on_with(
    tmp_path: Path, source: str, endpoint: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Teacher, "down", TEXTS[2])
    out = tmp_path / "out.jsonl"
    with pytest.raises(TunesmithError):
        change_rows("anonymise", source, out, ["how=mask", *endpoint])
    assert not out.exists() and (tmp_path / "out.jsonl.partial").exists()
    monkeypatch.setattr(Teacher, "down", "")
    Teacher.asked.clear()
    change_rows("anonymise", source, out, ["how=mask", *endpoint])
    assert TEXTS[0] not in Teacher.asked and TEXTS[2] in Teacher.asked
    assert texts(out)[0] == "[姓名]昨天来过，说腰疼。"


def test_kinds_that_are_not_wanted_stay(tmp_path: Path, source: str, endpoint: list[str]) -> None:
    out = tmp_path / "out.jsonl"
    change_rows("anonymise", source, out, ["how=mask", "kinds=[phone]", *endpoint])
    assert texts(out) == [*TEXTS[:3], "腰疼的小王今天好些了，电话[电话]。"]


def test_a_run_cannot_ask_a_model_while_it_reads(source: str) -> None:
    steps = [{"name": "anonymise", "how": "mask", "model": "http://127.0.0.1:9/v1"}]
    with pytest.raises((SpecError, DataError), match="needs a model"):
        check({"data": {"path": source, "steps": steps}, "objective": "pretrain"})


def test_what_a_text_does_not_hold_is_not_believed() -> None:
    kinds = ("name", "mail")
    said = 'Here: [{"text": "Ada", "kind": "name"}, {"text": "Bob", "kind": "name"}, 7] done'
    assert named_in(said, "Ada called.", kinds) == [("Ada", "name")]
    assert named_in('[{"text": "A", "kind": "name"}]', "A or B", kinds) == []
    assert named_in('[{"text": "Ada", "kind": "phone"}]', "Ada called.", kinds) == []
    assert named_in("nothing", "Ada called.", kinds) is None
