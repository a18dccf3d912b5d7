"""Prompts that a contender was trained on are found, told and left out; its proof rows are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from material import runs
from tunesmith.errors import DataError
from tunesmith.events.stream import Events
from tunesmith.storage.run_folder import RunFolder
from tunesmith.voting.building import _prompts
from tunesmith.voting.settings import Arena


class Heard(Events):
    """Keeps what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def tell(self, text: str) -> None:
        self.lines.append(text)


def finished(out: Path, model: Path, base: str = "", **overrides: Any) -> RunFolder:
    """A folder as a run leaves it, of rows that were prepared and not trained."""
    one = runs.resolved(out, model, **overrides)
    prepared, folder = runs.data_of(one), RunFolder(out)
    folder.path.mkdir()
    told = {"fingerprint": prepared.fingerprint, "split_seed": one.run.train.seed}
    folder.ledger.write_text(json.dumps(told), encoding="utf-8")
    ignored = shutil.ignore_patterns("*.safetensors", "rows.json")
    shutil.copytree(model, folder.model, ignore=ignored)
    (folder.model / "tunesmith.json").write_text("{}", encoding="utf-8")
    folder.begin(one)
    if base:
        text = folder.run_yaml.read_text(encoding="utf-8")
        folder.run_yaml.write_text(text.replace(str(model), base), encoding="utf-8")
    return RunFolder(out)


def asked(tmp_path: Path, questions: list[str]) -> Arena:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"question": one}) + "\n" for one in questions))
    return Arena.model_validate({"data": str(path)})


def drawn(how: Arena, names: list[str]) -> tuple[set[str], int, list[str]]:
    heard = Heard()
    prompts, known = _prompts(how, names, heard)
    return {row["messages"][-1]["content"] for row in prompts}, known, heard.lines


def test_what_was_trained_is_left_out_and_what_was_held_out_is_not(
    tiny_llama: Path, tmp_path: Path
) -> None:
    one = finished(tmp_path / "one", tiny_llama, **{"data.held_out": 8})
    prepared = runs.data_of(one.resolved())
    rows = runs.rows()
    proof = {int(item.id.rpartition(":")[2]) - 1 for item in prepared.proof}
    held = {rows[place]["instruction"] for place in proof}
    learned = [row["instruction"] for row in rows if row["instruction"] not in held]
    new = "Which rivers flow through the country that lies furthest to the north of Lima?"
    near = "Write down everything that you know about the old bridges of Prague" + " and Oslo" * 5
    how = asked(tmp_path, [*learned[:3], "  " + learned[4], *sorted(held), new, near])
    kept, known, told = drawn(how, ["http://localhost:1/v1#other", str(one.path)])
    assert held and kept == {*held, new, near} and known == 4
    of = 6 + len(held)
    assert told == [
        f"4 of {of} prompts are among the rows that {one.path} was trained on, and left out"
    ]


def test_the_runs_that_a_contender_goes_on_from_count_too(tiny_llama: Path, tmp_path: Path) -> None:
    first = finished(tmp_path / "first", tiny_llama)
    data = tmp_path / "second.json"
    long = "Tell me in your own words what the weather of this week was like in the south"
    data.write_text(json.dumps([{"instruction": f"{long}, {n}?", "output": "x"} for n in range(9)]))
    settings = {"data.path": str(data)}
    second = finished(tmp_path / "second", tiny_llama, str(first.path), **settings)
    of_first = runs.rows()[0]["instruction"]
    how = asked(tmp_path, [of_first, f"{long}, 3!", "Something else?"])
    assert drawn(how, [str(second.path)])[:2] == ({"Something else?"}, 2), "copies and near copies"
    data.unlink()
    kept, known, told = drawn(how, [str(second.path)])
    assert known == 1 and len(kept) == 2, "what can still be read is left out"
    assert f"{second.path}: its training rows could not be read" in told[0]


def test_nothing_is_drawn_where_all_was_trained(tiny_llama: Path, tmp_path: Path) -> None:
    one = finished(tmp_path / "one", tiny_llama)
    how = asked(tmp_path, [row["instruction"] for row in runs.rows()[:3]])
    with pytest.raises(DataError, match=r"all 3 prompts of .* was trained on; give prompts"):
        drawn(how, [str(one.path)])
