"""``check``: the same facts for a person and for a program."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from material.headed import encoder
from tunesmith import words
from tunesmith.cli.show_check import show_check
from tunesmith.data.check import bars, check
from tunesmith.data.ledger import Ledger, histogram
from tunesmith.errors import DataError
from tunesmith.settings.run import Data, validate


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.json"
    made = [
        {"instruction": f"what is the name of number {n}?", "output": f"[bold]name {n}[/bold]"}
        for n in range(60)
    ]
    path.write_text(json.dumps([*made, made[0]]), encoding="utf-8")
    return path


def test_what_a_person_sees(rows: Path, tiny_llama: Path) -> None:
    from transformers import AutoTokenizer

    words.use("en")
    found = check(Data(path=str(rows)), AutoTokenizer.from_pretrained(tiny_llama))
    out = io.StringIO()
    show_check(found, Console(file=out, force_terminal=True, color_system="standard", width=200))
    text = out.getvalue()
    assert (
        f"{rows}: json array, utf-8; columns: instruction, output; read as alpaca, 61 rows" in text
    )
    assert "dropped 1: exact copies of an earlier row" in text
    assert "rows.json:61  duplicate ↔ rows.json:1\n" in text
    assert "█" in text
    assert text.count("rows.json:") >= 4
    assert "\x1b[1;32m[bold]name" in text  # the answer, in colour, its brackets untouched
    assert len(found.samples) == 3


def test_without_colours_what_is_learned_is_marked(rows: Path, tiny_llama: Path) -> None:
    from transformers import AutoTokenizer

    found = check(Data(path=str(rows)), AutoTokenizer.from_pretrained(tiny_llama))
    for console in (
        Console(file=io.StringIO(), width=200),
        Console(file=io.StringIO(), force_terminal=True, no_color=True),
    ):
        show_check(found, console)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "The text between ⟦ and ⟧ is learned" in text
        assert text.count("⟦[bold]name ") == 3 and text.count("[/bold]<|im_end|>⟧") == 3


def test_one_row_as_the_model_gets_it(rows: Path, tiny_llama: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    found = check(Data(path=str(rows)), tokenizer)
    sides = set()
    for number in range(1, 61):
        (one,) = found.row(str(number))
        (sequence,) = one.sequences
        sides.add(one.side)
        learned = [number for number, _, weight in sequence.tokens if weight]
        assert tokenizer.decode(learned) == f"[bold]name {int(one.place[10:]) - 1}[/bold]<|im_end|>"
        every = "".join(text for _, text, _ in sequence.tokens)
        assert every == sequence.text.plain and f"number {number - 1}?" in every
    assert sides == {"train", "proof"}
    (copy,) = found.row("rows.json:61")
    assert (
        copy.side == "dropped"
        and "not used: duplicate ↔ rows.json:1" in copy.lines()[0]
        and not copy.sequences
    )
    with pytest.raises(DataError, match="--row: there is no row '62' among the 61") as raised:
        found.row("62")
    assert str(raised.value).endswith("a number (61), or a file with one (rows.json:61)")
    assert found.row("61") == found.row("rows.json:61"), "what is offered is there"


def test_where_a_row_is_learned_as_a_whole_its_label_stands_beside_it(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    words.use("en")
    tokenizer = AutoTokenizer.from_pretrained(encoder(tmp_path / "model"))
    labels = {"pos": "good", "neg": "bad"}
    made = [
        {"text": f"a {labels[name]} number {n}", "label": name}
        for n, name in enumerate(["pos", "neg"] * 20)
    ]
    pairs = [
        {"sentence1": f"number {n}", "sentence2": f"the number {n * n}", "score": n / 40}
        for n in range(40)
    ]
    told = {}
    for objective, rows in (("classify", made), ("embed", pairs)):
        path = tmp_path / f"{objective}.json"
        path.write_text(json.dumps(rows), encoding="utf-8")
        run = validate({"model": "-", "data": str(path), "out": "-", "objective": objective})
        found = check(run, tokenizer)
        out = io.StringIO()
        show_check(found, Console(file=out, width=200))
        told[objective] = out.getvalue()
        assert (
            "each with what is learned from it:" in told[objective] and "⟦" not in told[objective]
        )
        assert (
            "tokens to train on" in told[objective]
            and "are learned and the rest" not in told[objective]
        )
        for name, text in found.samples:
            if objective == "classify":
                assert name.endswith(f"label: {'pos' if 'good' in text.plain else 'neg'}")
    assert len(found.samples) == 6 and found.samples[0][0].endswith("  text")
    row = int(found.samples[1][0].split("  ")[0].rpartition(":")[2]) - 1
    assert found.samples[1][0].endswith(f"  partner  similarity: {row / 40:g}")


def test_what_a_program_sees(rows: Path, tiny_llama: Path) -> None:
    from transformers import AutoTokenizer

    told = json.loads(
        json.dumps(check(Data(path=str(rows)), AutoTokenizer.from_pretrained(tiny_llama)).to_json())
    )
    assert told["rows"] == 61
    assert told["dropped_rows"] == [
        {"file": str(rows), "row": 61, "reason": "duplicate", "of": f"{rows}:1"}
    ]
    assert told["near_rows"] == []
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


def test_the_cut_line_stands_where_rows_are_cut() -> None:
    lines = bars(histogram([*range(1, 121)], limit=50))
    assert lines[5].strip() == "── data.max_length=50: 70 rows are longer"
    assert lines[4].split()[1] == "50" and lines[6].split()[1] == "60"
    assert bars(histogram([5, 9], limit=2048))[-1].strip().startswith("── data.max_length=2,048: 0")


def test_the_share_of_learned_tokens_names_the_row_with_the_least() -> None:
    ledger = Ledger()
    ledger.share([5, 1, 8], [10, 10, 10], "rows.jsonl:{}".format)
    assert ledger.shares == {"p10": 0.18, "p50": 0.5, "least": 0.1, "row": "rows.jsonl:1"}
    assert any("least in rows.jsonl:1: 10 %" in line for line in ledger.lines())
    for scored in ([0, 0], [7, 7]):
        plain = Ledger()
        plain.share(scored, [7, 7], str)
        assert plain.shares == {}


def test_bars_begin_just_before_the_shortest_row() -> None:
    lines = bars(histogram([61] * 4 + [72]))
    assert [line.split()[1] for line in lines] == ["60", "66", "72"]
    assert lines[0].endswith(" 0")
