"""Tables with a row for each turn or each word: what belongs together is one row for those who learn
conversations or entities, and stays apart for all others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from material.prepared_rows import prepared, written
from material.read_rows import read, values
from tunesmith.data.files.parts_of_rows import kind_of
from tunesmith.examples import Labelled

TALKS = 4


def table(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def turns(n: int) -> list[tuple[str, str]]:
    return [("客户", f"问{n}"), ("客服", f"答{n}"), ("客户", f"再问{n}"), ("客服", f"再答{n}")]


def one_after_the_other() -> list[tuple[int, str, str]]:
    return [(n, who, said) for n in range(TALKS) for who, said in turns(n)]


def at_the_same_time() -> list[tuple[int, str, str]]:
    return [(n, *turns(n)[place]) for place in range(4) for n in range(TALKS)]


@pytest.mark.parametrize("order", [one_after_the_other, at_the_same_time])
@pytest.mark.parametrize("header", ["会话ID,角色,内容", "session_id,role,content"])
def test_turns_of_one_conversation_are_one_row(
    tmp_path: Path, header: str, order: Callable[[], list[tuple[int, str, str]]]
) -> None:
    rows = [f"s{n},{who},{said}" for n, who, said in order()]
    reading = read(table(tmp_path / "talks.csv", header, rows), "sft")
    found = [values(chat) for _, chat in reading]
    assert found == [[said for _, said in turns(n)] for n in range(TALKS)]
    assert any("each of its rows is one turn" in note for note in reading.notes)


def test_turns_in_json_lines_are_trained_as_conversations(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"dialogue_id": n, "speaker": "user" if k % 2 == 0 else "assistant", "text": f"t{n}-{k}"}
        for n in range(TALKS)
        for k in range(4)
    ]
    found = prepared(written(tmp_path / "rows.jsonl", rows))
    assert len(found.train) == TALKS
    assert found.ledger.reasons() == {}


def test_labels_of_single_turns_are_learned_turn_by_turn(tmp_path: Path) -> None:
    rows = [
        f"s{n},{who},{said},{'ask' if '问' in said else 'tell'}"
        for n, who, said in one_after_the_other()
    ]
    path = table(tmp_path / "acts.csv", "session_id,role,content,label", rows)
    found = [example for _, example in read(path, "classify")]
    assert len(found) == 4 * TALKS
    assert isinstance(found[0], Labelled) and found[0].labels == ("ask",)


def test_rows_of_one_speaker_or_of_a_talk_each_are_no_conversations():
    alone: list[Any] = [{"session": n // 2, "role": "user", "content": "t"} for n in range(8)]
    once: list[Any] = [
        {"session": n, "role": ("user", "assistant")[n % 2], "content": "t"} for n in range(8)
    ]
    assert kind_of(alone) == kind_of(once) == ""


WORDS = {
    "the key beside the first word alone": ("Sentence #,Word,POS,Tag", "Sentence: {n}", ""),
    "the key beside each": ("sentence_id,word,pos,label", "{n}", "{n}"),
}


@pytest.mark.parametrize("name", WORDS)
def test_words_of_one_sentence_are_one_row(tmp_path: Path, name: str) -> None:
    header, first, rest = WORDS[name]
    rows = [
        line
        for n in range(5)
        for line in (
            f"{first.format(n=n)},Ada{n},NNP,B-per",
            f"{rest.format(n=n)},saw,VBD,O",
            f"{rest.format(n=n)},New,NNP,B-geo",
            f"{rest.format(n=n)},York,NNP,I-geo",
        )
    ]
    found = [
        values(one) for _, one in read(table(tmp_path / "ner.csv", header, rows), "classify_tokens")
    ]
    assert found == [[(f"Ada{n}", "per"), ("New York", "geo")] for n in range(5)]


CELLS: dict[str, tuple[str, str, str]] = {
    "commas": ("sentence\tword_labels", "Ada saw New York", "B-per,O,B-geo,I-geo"),
    "spaces": ("text\tlabels", "Ada saw New York", "B-per O B-geo I-geo"),
    "as PaddleNLP": (
        "text_a\tlabel",
        "\x02".join("王五住京"),
        "\x02".join(["B-per", "I-per", "O", "B-geo"]),
    ),
    "letters": ("text\tner_tags", "王五住京", "B-per I-per O B-geo"),
    "lists that Python printed": (
        "words\ttags",
        "['Ada', 'saw', 'New', 'York']",
        "['B-per', 'O', 'B-geo', 'I-geo']",
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_words_and_tags_in_one_cell_each(tmp_path: Path, name: str) -> None:
    header, text, tags = CELLS[name]
    path = table(tmp_path / "ner.tsv", header, [f"{text}\t{tags}"] * 4)
    found = [values(one) for _, one in read(path, "classify_tokens")]
    right = (
        [("王五", "per"), ("京", "geo")] if "王" in text else [("Ada", "per"), ("New York", "geo")]
    )
    assert found == [right] * 4
