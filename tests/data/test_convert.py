"""Every kind of row is written so that it is read as the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.api import change_rows
from tunesmith.data.files.sources import Faults, rows
from tunesmith.data.reading import Reading
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import Chat, Example, Feedback, Labelled, Preference, Tagged, TextPair
from tunesmith.settings.family import READERS
from tunesmith.settings.run import Data

EXAMPLES = yaml.safe_load((Path(__file__).parents[2] / "docs" / "examples.yaml").read_text("utf-8"))
OBJECTIVES = {
    "Chat": "sft",
    "Preference": "dpo",
    "Feedback": "kto",
    "Labelled": "classify",
    "TextPair": "embed",
    "Tagged": "classify_tokens",
    "Text": "pretrain",
}


def bare(example: Example) -> Example:
    """The example without the columns of its row."""
    if isinstance(example, Feedback):
        return replace(example, chat=bare(example.chat))
    if isinstance(example, Preference):
        return replace(example, prompt=bare(example.prompt), columns={})
    if isinstance(example, Chat | Labelled | TextPair | Tagged):
        return replace(example, columns={})
    return example


def read(path: Path, gives: type, reader: str | None = None) -> list[Example]:
    return [bare(example) for _, example in Reading(Data(path=str(path), reader=reader), gives)]


AWKWARD = (
    'a, "b"\nc\t;',
    "007",
    "null",
    "true",
    "3.0",
    "=1+1",
    " lead",
    "1e5",
    "NaN",
    "🙂 中，。",
    "-",
)
"""Texts that a format could take for something else, or cut."""
FIXED = {"label", "winner", "answer"}
"""Columns whose texts mean something."""


def awkward(name: str, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The reader's example with other texts; none where a text and its places belong together."""
    if name in ("entities", "label_first", "choices"):
        return []
    if name == "transcript":
        # The text is a dialogue; the texts stand in its turns.
        return [{"text": f"### Human: {text}\n### Assistant: {text}"} for text in AWKWARD]
    turns, key = {"messages": ("messages", "content"), "sharegpt": ("conversations", "value")}.get(
        name, ("", "")
    )
    if turns:
        return [{turns: [{**one, key: text} for one in row[turns]]} for text in AWKWARD]
    texts = [one for one, value in row.items() if isinstance(value, str) and one not in FIXED]
    # Not all the same, or a pair's two answers would be one.
    return [
        {**row, **{one: text + " " * (n > 0) + one * (n > 0) for n, one in enumerate(texts)}}
        for text in AWKWARD
    ]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet"])
def test_what_every_reader_reads_is_read_again(tmp_path: Path, name: str, suffix: str) -> None:
    row = EXAMPLES[name]
    # One row alone does not tell that its columns are labels.
    other = {**row, "toxic": 0, "insult": 1} if name == "one_hot" else row
    several = [row, other, *awkward(name, row)]
    source = tmp_path / "in.json"
    source.write_text(json.dumps(several, ensure_ascii=False), "utf-8")
    gives = READERS.get(name).gives
    settings = [f"objective={OBJECTIVES[gives.__name__]}", f"reader={name}"]
    layouts = ("messages", "alpaca", "sharegpt") if gives is Chat else ("messages",)
    for to in layouts:
        out = tmp_path / f"{to}.{suffix}"
        if name == "reasoning" and to != "messages":
            with pytest.raises(DataError, match="has no place for reasoning"):
                change_rows("convert", str(source), out, [*settings, f"to={to}"])
            continue
        change_rows("convert", str(source), out, [*settings, f"to={to}"])
        assert read(out, gives) == read(source, gives, name), to


BESIDE: dict[str, Any] = {
    "id": "007",
    "came": "web",
    "n": 7,
    "seen_in": ["a", "b"],
    "note": 'a, "b"\nc',
    "dialog": "a name of a column with turns",
}
"""Columns that no reader reads."""


def unpacked(row: dict[str, Any], name: str) -> Any:
    """The value of a column, of a table's cell what its JSON says."""
    cell = row[name]
    if isinstance(cell, str) and not isinstance(BESIDE.get(name), str):
        return json.loads(cell)
    return cell


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_columns_that_no_reader_reads_stay(tmp_path: Path, name: str, suffix: str) -> None:
    row = {**EXAMPLES[name], **BESIDE}
    other = {**row, "toxic": 0, "insult": 1} if name == "one_hot" else row
    source = tmp_path / "in.json"
    source.write_text(json.dumps([row, other], ensure_ascii=False), "utf-8")
    gives = READERS.get(name).gives
    settings = [f"objective={OBJECTIVES[gives.__name__]}", f"reader={name}"]
    layouts = ("messages", "alpaca", "sharegpt") if gives is Chat else ("messages",)
    for to in layouts[:1] if name == "reasoning" else layouts:
        out = tmp_path / f"{to}.{suffix}"
        account = change_rows("convert", str(source), out, [*settings, f"to={to}"])
        first = next(iter(rows(out, faults=Faults()))).row
        renamed = {"dialog": "other_dialog"}
        for column, value in BESIDE.items():
            assert unpacked({column: first[renamed.get(column, column)]}, column) == value, to
        assert "tunesmith_from" in first
        assert any("other_dialog" in note for note in account.notes)
        assert read(out, gives) == read(source, gives, name), to


ALPACA = [
    {"instruction": "Add.", "input": "2 and 2", "output": "4"},
    {"instruction": "Add.", "input": "", "output": "4"},
    {"instruction": " Add. ", "input": "<noinput>", "output": " 4\n"},
    {"instruction": "Add.\n\n2 and 2", "input": "3", "output": "7", "system": "", "history": []},
    {
        "instruction": "Add.",
        "input": "2",
        "output": "4",
        "system": "Be kind.",
        "history": [["a", "b"], ["c", "d"]],
    },
    {"instruction": "<user>: a <bot>: b <user>: c", "input": "", "output": "d"},
]


def test_a_column_that_stays_is_not_called_unused(tmp_path: Path) -> None:
    rows_in = [{"question": "Why?", "answer": "Because.", "place": str(n)} for n in range(3)]
    (tmp_path / "in.json").write_text(json.dumps(rows_in), encoding="utf-8")
    account = change_rows("convert", str(tmp_path / "in.json"), tmp_path / "out.jsonl")
    assert '"place": "2"' in (tmp_path / "out.jsonl").read_text("utf-8")
    assert "place" not in str(account.lines())


def test_rows_of_alpaca_come_back_as_they_were(tmp_path: Path) -> None:
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps(ALPACA), "utf-8")
    change_rows("convert", str(source), out, ["to=alpaca"])
    written = json.loads(out.read_text("utf-8"))
    assert [{name: row[name] for name in row if name != "tunesmith_from"} for row in written] == (
        ALPACA
    )
    named = [{"Frage": row["instruction"], "output": row["output"]} for row in ALPACA]
    source.write_text(json.dumps(named), "utf-8")
    columns = ["columns={instruction: Frage, output: output}", "to=alpaca"]
    change_rows("convert", str(source), tmp_path / "c.json", columns)
    first = json.loads((tmp_path / "c.json").read_text("utf-8"))[0]
    assert (first["instruction"], first["output"], "Frage" in first) == ("Add.", "4", False)


@pytest.mark.parametrize("name", ["dpo_en/dpo_en_demo.json", "kto_en/kto_en_demo.json"])
def test_turns_that_were_read_are_not_written_twice(
    tmp_path: Path, shared_data: Path, name: str
) -> None:
    source, out = shared_data / name, tmp_path / "out.json"
    objective, gives = ("dpo", Preference) if "dpo" in name else ("kto", Feedback)
    change_rows("convert", str(source), out, [f"objective={objective}"])
    columns = {column for row in json.loads(out.read_text("utf-8")) for column in row}
    assert not any(column.startswith("other_") or column == "conversations" for column in columns)
    assert read(out, gives) == read(source, gives)


def test_of_several_answers_none_is_lost(tmp_path: Path) -> None:
    source = tmp_path / "in.json"
    several = [{"instruction": f"a {n}", "output": ["b", "c"]} for n in range(2)]
    source.write_text(json.dumps(several), "utf-8")
    for to, column in (("alpaca", "other_output"), ("messages", "output")):
        change_rows("convert", str(source), tmp_path / f"{to}.json", [f"to={to}"])
        row = json.loads((tmp_path / f"{to}.json").read_text("utf-8"))[0]
        assert row[column] == ["b", "c"]
        assert [one.answer for one in read(tmp_path / f"{to}.json", Chat)] == ["b", "b"]  # type: ignore[union-attr]


def test_a_column_that_the_layout_would_take_is_renamed(tmp_path: Path) -> None:
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    talk = {
        "conversation": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    }
    source.write_text(json.dumps([{**talk, "input": "x", "history": [["y", "z"]]}]), "utf-8")
    account = change_rows("convert", str(source), out, ["to=alpaca"])
    (row,) = json.loads(out.read_text("utf-8"))
    assert (row["input"], row["other_input"], row["other_history"]) == ("", "x", [["y", "z"]])
    assert "conversation" not in row and "other_conversation" not in row
    assert account.notes[-1].endswith("were renamed: other_history, other_input")
    assert read(out, Chat) == read(source, Chat)


CALL = {"type": "function", "function": {"name": "look", "arguments": {"at": "x"}}}
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "{}"},
    {"role": "assistant", "content": "Hi"},
]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("to", ["messages", "sharegpt"])
def test_tools_and_their_calls_survive(tmp_path: Path, to: str) -> None:
    source, out = tmp_path / "in.json", tmp_path / "out.jsonl"
    source.write_text(json.dumps([{"messages": TALK, "tools": [TOOL], "id": 7}]), "utf-8")
    change_rows("convert", str(source), out, [f"to={to}"])
    assert read(out, Chat) == read(source, Chat)
    assert json.loads(out.read_text("utf-8"))["id"] == 7


def test_reasoning_weights_and_untrained_turns_survive(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "train": False},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d", "reasoning_content": "because", "weight": 0.5},
    ]
    source, out = tmp_path / "in.json", tmp_path / "out.jsonl"
    source.write_text(json.dumps([{"messages": turns}]), "utf-8")
    change_rows("convert", str(source), out)
    assert read(out, Chat) == read(source, Chat)
    with pytest.raises(DataError, match=r"in\.json:1:to: the alpaca layout has no place for"):
        change_rows("convert", str(source), tmp_path / "other.jsonl", ["to=alpaca"])
    assert not (tmp_path / "other.jsonl").exists()


def test_alpaca_keeps_the_history(tmp_path: Path) -> None:
    turns = [
        {"role": role, "content": str(n)}
        for n, role in enumerate(("system", "user", "assistant", "user", "assistant"))
    ]
    source, out = tmp_path / "in.json", tmp_path / "out.jsonl"
    source.write_text(json.dumps([{"messages": turns}]), "utf-8")
    change_rows("convert", str(source), out, ["to=alpaca"])
    row = json.loads(out.read_text("utf-8"))
    assert (row["instruction"], row["output"], row["history"], row["system"]) == (
        "3",
        "4",
        [["1", "2"]],
        "0",
    )
    assert read(out, Chat) == read(source, Chat)


def test_the_file_that_is_read_stays(tmp_path: Path) -> None:
    source = tmp_path / "in.json"
    text = json.dumps([{"instruction": "a", "output": "b"}])
    source.write_text(text, "utf-8")
    with pytest.raises(SpecError, match="this is a file that is read"):
        change_rows("convert", str(source), source)
    assert source.read_text("utf-8") == text


def test_the_line_that_an_error_says_to_add_is_taken(tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("text,label\nA fine film,good\nA poor one,bad\n", "utf-8")
    with pytest.raises(DataError, match=r"data\.columns=\{question: text, answer: label\}"):
        change_rows("convert", str(source), out)
    added = ["data.columns={question: text, answer: label}"]
    assert change_rows("convert", str(source), out, added).written == 2
    with pytest.raises(SpecError, match="limit: there is no such setting"):
        change_rows("convert", str(source), tmp_path / "no.jsonl", ["data.limit=1"])
