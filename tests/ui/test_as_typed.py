"""A value is looked at as the run's settings read it: YAML that says the same in other words names no
other place, and what is wrong is said in the words of the command line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from starlette.testclient import TestClient

from material.page import Page as Read
from tunesmith.errors import Problem, SpecError
from tunesmith.settings.run import read_run
from tunesmith.ui.allowed import PLUG_INS
from tunesmith.ui.draft import draft_of
from tunesmith.ui.places import Places

SECRET = "secret.csv"
WAYS = (
    SECRET,
    f'"{SECRET}"',
    f"'{SECRET}'",
    f"{SECRET} # rows",
    f"# rows\n{SECRET}",
    f"# rows\n[{SECRET}]",
    f"- {SECRET}",
    f"!!str {SECRET}",
    f"&a {SECRET}",
    f">-\n  {SECRET}",
    f"{{path: {SECRET}}}",
    f"# rows\n{{path: {SECRET}}}",
    f"- path: {SECRET}",
    '"../secret"',
    '"~/secret"',
)
"""How a place outside the folder may be typed; the server runs in the folder above."""
NAMED = ("data.reader", "data.steps", "prove.metrics", "source.rewards", *PLUG_INS)
"""Settings that name plug-ins."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs with a file of rows, and a file beside it."""
    (tmp_path / "runs" / "data").mkdir(parents=True)
    for path in (tmp_path / SECRET, tmp_path / "runs" / "data" / "my rows.csv"):
        path.write_text("question,answer\nwhy?,so\n" * 30, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def read(words: list[str]) -> list[Problem]:
    """What the command line says of settings."""
    given = {word.partition("=")[0].removesuffix(".path") for word in words}
    rest = {"model": "starter", "data": "rows.csv", "out": "x"}
    words = [*words, *(f"{name}={value}" for name, value in rest.items() if name not in given)]
    try:
        read_run(None, words)
    except SpecError as error:
        return [*error.problems]
    return []


@pytest.mark.parametrize("path", ["model.path", "data.path", "data.held_out"])
@pytest.mark.parametrize("value", WAYS)
def test_no_way_of_typing_a_place_leads_out_of_the_folder(
    place: Path, path: str, value: str
) -> None:
    draft = draft_of([(path, value)], Places(place))
    assert draft.problems or read(draft.words(Places(place))), "it would be read"


def test_questions_are_texts_or_a_file_of_the_folder(place: Path) -> None:
    for value in (SECRET, f'"{SECRET}"', f"'{SECRET}'", '"../secret"'):
        assert draft_of([("questions", value)], Places(place)).problems, value
    assert draft_of([("questions", f"[{SECRET}]")], Places(place)).problems == ()


@pytest.mark.parametrize("quote", ["{}", '"{}"', "'{}'"])
def test_a_place_of_the_folder_may_be_typed_with_quotes(place: Path, quote: str) -> None:
    rows = quote.format(place / "data" / "my rows.csv")
    draft = draft_of([("data", rows), ("model", "starter")], Places(place))
    assert draft.problems == ()
    assert read_run(None, draft.words(Places(place))).data.path == str(
        place / "data" / "my rows.csv"
    )


@pytest.mark.parametrize(
    "value",
    [
        "./mine.py",
        '"./mine.py"',
        "- ./mine.py",
        "{name: ./mine.py}",
        "# x\n./mine.py",
        "!!str ./mine.py",
    ],
)
@pytest.mark.parametrize("path", NAMED)
def test_no_way_of_typing_a_plug_in_runs_a_file(place: Path, path: str, value: str) -> None:
    (place.parent / "mine.py").write_text("raise SystemExit('it was run')", "utf-8")
    draft = draft_of([(path, value), ("goal", "rewards")], Places(place))
    assert draft.problems or read(draft.words(Places(place)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((path, "-7") for path in ("objective", "method", "train.optimizer", "train.schedule")),
        *((path, "[1, {a: 2}]") for path in ("objective", "train.optimizer", "train.schedule")),
        *(("data.steps", value) for value in ("-7", "[1]", "[1, {a: 2}]", "{a: 2}")),
        *(("prove.metrics", value) for value in ("-7", "[1, {a: 2}]")),
        ("data.held_out", "[1, {a: 2}]"),
    ],
)
def test_what_names_nothing_is_told_in_the_words_of_the_command_line(
    place: Path, client: TestClient, path: str, value: str
) -> None:
    rows = str(place / "data" / "my rows.csv")
    told = read([f"{path}={value}"])
    asked = {"model": "starter", "data": rows, "name": "new", path: value}
    page = Read(client.get("/new/written", params=asked).text)
    assert told and page.told[f"w-{path}"] == "\n".join(
        one.text if one.where == path else str(one) for one in told
    )
