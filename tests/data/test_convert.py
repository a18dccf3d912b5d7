"""Every kind of row is written so that it is read as the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.api import change_rows
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


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_what_every_reader_reads_is_read_again(tmp_path: Path, name: str, suffix: str) -> None:
    row = EXAMPLES[name]
    # One row alone does not tell that its columns are labels.
    other = {**row, "toxic": 0, "insult": 1} if name == "one_hot" else row
    rows = [row, other]
    source = tmp_path / "in.json"
    source.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    gives = READERS.get(name).gives
    settings = [f"objective={OBJECTIVES[gives.__name__]}", f"reader={name}"]
    out = tmp_path / f"out.{suffix}"
    change_rows("convert", str(source), out, settings)
    assert read(out, gives) == read(source, gives, name)


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
    with pytest.raises(SpecError, match="is read itself"):
        change_rows("convert", str(source), source)
    assert source.read_text("utf-8") == text
