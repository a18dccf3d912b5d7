"""``check``: the same facts for a person and for a program."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tunesmith import words
from tunesmith.data.check import bars, check
from tunesmith.data.ledger import histogram
from tunesmith.run import Data


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.json"
    made = [{"instruction": f"what is the name of number {n}?", "output": f"[bold]name {n}[/bold]"} for n in range(60)]
    path.write_text(json.dumps([*made, made[0]]), encoding="utf-8")
    return path


def test_what_a_person_sees(rows: Path, tiny_llama: Path) -> None:
    from transformers import AutoTokenizer

    words.use("en")
    found = check(Data(path=str(rows)), AutoTokenizer.from_pretrained(tiny_llama))
    out = io.StringIO()
    found.show(Console(file=out, force_terminal=True, color_system="standard", width=200))
    text = out.getvalue()
    assert f"{rows}: json array, utf-8; columns: instruction, output; read as alpaca, 61 rows" in text
    assert "dropped 1: exact copies of an earlier row" in text
    assert "rows.json:61  duplicate" in text
    assert "█" in text
    assert text.count("rows.json:") >= 4
    assert "\x1b[1;32m[bold]name" in text  # the answer, in colour, its brackets untouched
    assert len(found.samples) == 3


def test_without_colours_what_is_learned_is_marked(rows: Path, tiny_llama: Path) -> None:
    from transformers import AutoTokenizer

    found = check(Data(path=str(rows)), AutoTokenizer.from_pretrained(tiny_llama))
    for console in (Console(file=io.StringIO(), width=200), Console(file=io.StringIO(), force_terminal=True, no_color=True)):
        found.show(console)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "what stands between ⟦ and ⟧ is learned" in text
        assert text.count("⟦[bold]name ") == 3 and text.count("[/bold]<|im_end|>⟧") == 3


def test_what_a_program_sees(rows: Path, tiny_llama: Path) -> None:
    from transformers import AutoTokenizer

    told = json.loads(json.dumps(check(Data(path=str(rows)), AutoTokenizer.from_pretrained(tiny_llama)).to_json()))
    assert told["rows"] == 61
    assert told["dropped_rows"] == [{"file": str(rows), "row": 61, "reason": "duplicate"}]
    sample = told["samples"][0]
    (span,) = sample["trained"]
    assert sample["text"][slice(*span)].startswith("[bold]name ")
    assert sample["text"][slice(*span)].endswith("[/bold]<|im_end|>")


def test_bars_are_as_long_as_their_counts() -> None:
    lines = bars(histogram([5] * 40 + [50] * 10))
    assert lines[0].count("█") == 40
    assert lines[-1].count("█") == 10
    assert lines[-1].endswith(" 10")
    assert bars({}) == []
