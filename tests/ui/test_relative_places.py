"""Where the page was begun above its folder, as it usually is, places are typed from there; a plan
says them whole, and what is wrong still stands at its field.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from material.page import Page as Read
from tunesmith.pages.guard import Guard
from tunesmith.ui.runs import Runs
from tunesmith.ui.start_pages import StartPages
from tunesmith.ui.views import Views

ROWS = "question,answer\n" + "".join(f"what is {n}?,it is {n + 1}\n" for n in range(40))
GOOD = {"model": "runs/tiny", "data": "runs/data/faq.csv"}


@pytest.fixture
def client(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    data = tmp_path / "runs" / "data"
    data.mkdir(parents=True)
    shutil.copytree(tiny_llama, tmp_path / "runs" / "tiny")
    (data / "faq.csv").write_text(ROWS, "utf-8")
    (data / "empty.csv").write_text("", "utf-8")
    (data / "other.csv").write_text("spam,eggs\na,b\n", "utf-8")
    (data / "binary.csv").write_bytes(bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        pages = StartPages(Views(Runs(Path("runs"))), lambda: pool)
        guard = Guard(Starlette(routes=pages.routes()), "right", 4321)
        client = TestClient(guard, base_url="http://127.0.0.1:4321")
        client.get("/new/", params={"token": "right"})
        yield client


def looked(client: TestClient, **more: str) -> Any:
    """The page on the rows, once it is no longer looking."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        answer = client.get("/new/data", params={**GOOD, **more})
        if "data-wait" not in answer.text:
            return answer
    raise AssertionError("it never ended")


@pytest.mark.parametrize(
    ("path", "typed", "told"),
    [
        ("data", "runs/data/empty.csv", "the file is empty"),
        ("data", "runs/data/binary.csv", "is a binary file"),
        ("data.held_out", "runs/data/empty.csv", "the file is empty"),
        ("questions", "runs/data/empty.csv", "the file is empty"),
        ("model", "runs/data", ""),
    ],
)
def test_what_is_wrong_with_a_place_stands_at_its_field(
    client: TestClient, path: str, typed: str, told: str
) -> None:
    answer = looked(client, **{path: typed})
    page = Read(answer.text)
    field = next(one for _, one in page.elements if one.get("name") == path)
    assert answer.status_code == 400 and field["aria-invalid"] == "true"
    assert told in page.told[f"w-{path}"] and field["value"] == typed
    assert 'role="alert"><p' not in answer.text, "nothing stands at the top of the page"


def test_rows_that_no_reader_knows_are_told_as_they_were_typed(client: TestClient) -> None:
    answer = looked(client, data="runs/data/other.csv")
    page = Read(answer.text)
    assert answer.status_code == 200 and "columns.question" not in answer.text
    assert "runs/data/other.csv: no reader knows these columns" in page.text
    assert str(Path.cwd()) not in page.text


def test_a_file_of_rows_written_as_yaml_may_be_dropped(client: TestClient) -> None:
    """The command line reads it, so the page does."""
    rows = b"".join(b"- {question: 'what is %d?', answer: one}\n" % n for n in range(40))
    sent = client.post(
        "/new/upload?name=faq.yaml", content=rows, headers={"origin": "http://127.0.0.1:4321"}
    )
    assert sent.json() == {"path": "runs/data/faq.yaml"}
    assert "runs/data/faq.yaml" in client.get("/new/").text, "it is offered again"
    assert "40 rows in 1 file" in Read(looked(client, data="runs/data/faq.yaml").text).text


def test_rows_of_another_kind_are_told_once(client: TestClient) -> None:
    answer = looked(client, goal="prefer")
    assert answer.text.count('<span class="text">') == 1
    assert "objective=sft" in Read(answer.text).text


def test_what_is_said_of_personal_data_is_mended_by_its_button(client: TestClient) -> None:
    rows = "question,answer\n" + "".join(
        f"who is {n}?,write to anna.smith{n}@mail-example.com\n" for n in range(40)
    )
    Path("runs/data/who.csv").write_text(rows, "utf-8")
    before = Read(looked(client, data="runs/data/who.csv").text)
    assert "mail addresses in 40 rows" in before.text
    (pressed,) = [one for _, one in before.elements if "anonymise" in one.get("href", "")]
    assert "how%3A+mask" in pressed["href"]
    step = {"data.steps": "{name: anonymise, how: mask}"}
    after = Read(looked(client, data="runs/data/who.csv", **step).text)
    assert "seem to hold personal data" not in after.text
    assert "anonymise changed 40 rows" in after.text and "Go on to the plan" in after.text


def test_texts_that_are_too_long_are_cut_or_left_out_by_a_button(client: TestClient) -> None:
    rows = "question,answer\n" + "".join(f"what is {n}?,{'so ' * 900}\n" for n in range(40))
    Path("runs/data/long.csv").write_text(rows, "utf-8")
    page = Read(looked(client, data="runs/data/long.csv").text)
    offered = " ".join(one.get("href", "") for _, one in page.elements)
    assert "data.too_long=drop" in offered and "data.too_long=truncate" in offered


def test_of_names_that_mean_the_same_the_plainest_is_shown_first(client: TestClient) -> None:
    """Nobody who has two columns reads through forty names to say what they are."""
    answer = looked(client, data="runs/data/other.csv")
    first, _, others = answer.text.partition("Other names that mean the same")
    shown = re.findall(r'name="column\.(\w+)"', first)
    assert shown[:2] == ["question", "answer"] and len(shown) < 20
    assert 'name="column.instruction"' in others
    chosen = {"column.query": "spam", "column.response": "eggs"}
    first = looked(client, data="runs/data/other.csv", **chosen).text.partition("Other names")[0]
    assert 'name="column.query"' in first and "<option selected>spam" in first


def test_an_objective_that_needs_a_teacher_has_a_field_for_it(client: TestClient) -> None:
    """What the drawer offers can be filled in there."""
    asked = looked(client, objective="distill")
    page = Read(asked.text)
    field = next(one for _, one in page.elements if one.get("name") == "objective.teacher")
    assert asked.status_code == 400 and field["aria-invalid"] == "true"
    assert "nothing is given" in page.told["w-objective.teacher"] and field["placeholder"]
    filled = {"objective": "distill", "objective.teacher": "runs/tiny"}
    assert looked(client, **filled).status_code == 200
