"""The table of the data page holds: what may be a step of a run, a verb, and a call from Python."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tunesmith import api
from tunesmith.cli import looking
from tunesmith.data.steps import OTHERS
from tunesmith.errors import DataError, SpecError
from tunesmith.settings.family import TRANSFORMS
from tunesmith.settings.overrides import with_overrides

DOCS = Path(__file__).parents[3] / "docs"
ASKS = ("model=", "perplexity.model=")
NEEDED = {"anonymise": ["kinds=[mail]"], "mix": ["rows=10"]}


def table(language: str) -> list[list[str]]:
    text = (DOCS / language / "data.md").read_text("utf-8")
    found = re.findall(r"(?m)^\| `([^`]+)` \| (.+) \| (.+) \| (.+) \|$", text)
    return [list(one) for one in found if one[0].split()[0] in (*TRANSFORMS.names(), *OTHERS)]


def is_yes(cell: str) -> bool:
    return cell in ("yes", "能")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [
        {
            "question": f"Where does the river number {n} end, and why there?",
            "answer": f"It ends in the lake {n}.",
            "source": "abc"[n % 3],
        }
        for n in range(30)
    ]
    rows[3]["answer"] = "Write to ada@mail.com."
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "in.jsonl").write_text(text, "utf-8")
    (tmp_path / "held_out.jsonl").write_text(text.splitlines()[0] + "\n", "utf-8")
    other = [{**row, "question": f"And then: {row['question']}"} for row in rows]
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in other), "utf-8")
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "a.md").write_text("# Rivers\n\nA river ends in a lake or in the sea.\n", "utf-8")
    monkeypatch.setenv("MY_SECRET", "of these tests")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_both_pages_hold_all_of_the_family_and_say_the_same() -> None:
    english, chinese = table("en"), table("zh")
    assert [row[0] for row in english] == [row[0] for row in chinese]
    for one, other in zip(english, chinese, strict=True):
        assert [*map(is_yes, one[1:])] == [*map(is_yes, other[1:])], one[0]
    assert {row[0].split()[0] for row in english} == {*TRANSFORMS.names(), *OTHERS}
    assert all(is_yes(cell) for row in english for cell in row[2:])


@pytest.mark.parametrize("row", table("en"), ids=lambda row: row[0])
def test_what_is_no_step_of_a_run_is_refused_with_its_reason(here: Path, row: list[str]) -> None:
    step, *settings = shlex.split(row[0])
    asked = {
        "data": {"path": "in.jsonl", "steps": [{"name": step, **with_overrides({}, settings)}]}
    }
    if is_yes(row[1]):
        assert api.check(asked).ledger.rows >= 30
        return
    with pytest.raises((SpecError, DataError), match=r"^data\.steps\.0") as caught:
        api.check(asked)
    told = str(caught.value)
    assert len(told.partition("known:")[0]) > 80, "a reason, and no bare list of names"
    assert "tunesmith data" in told or "data." in told.removeprefix("data.steps"), "what to do"


@pytest.mark.parametrize(
    "line", [row[0] for row in table("en") if not any(one in row[0] for one in ASKS)]
)
def test_the_verb_and_python_write_the_same_file(here: Path, line: str) -> None:
    if line.endswith("negatives"):
        pairs = [{"text": f"big river {n}", "second": f"the river {n} is big"} for n in range(5)]
        (here / "in.jsonl").write_text("".join(json.dumps(one) + "\n" for one in pairs), "utf-8")
    step, *settings = shlex.split(line)
    settings += NEEDED.get(step, [])
    source = {"documents": "pages", "mix": "in.jsonl"}.get(step, "in.jsonl")
    sources = [source, "other.jsonl"] if step == "mix" else [source]
    first, second = ("a", "b") if step == "split" else ("a.jsonl", "b.jsonl")
    looking.data(step, [*sources, first, *settings])
    account = api.change_rows(step, sources, second, settings)
    assert account.written
    if line == "anonymise how=surrogate":  # a new secret each time
        assert "ada@mail.com" not in Path(first).read_text() + Path(second).read_text()
        return
    written = [
        [one.read_bytes() for one in sorted(place.rglob("*"))]
        if place.is_dir()
        else place.read_bytes()
        for place in (Path(first), Path(second))
    ]
    assert written[0] == written[1]
