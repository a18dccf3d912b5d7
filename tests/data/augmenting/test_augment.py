"""Rows reworded: what must stay stays, nothing made is held out, and every row is told."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tunesmith import api
from tunesmith.api import change_rows
from tunesmith.data.files.packaged import cache_folder
from tunesmith.data.rewording.kept import broken, protected
from tunesmith.data.rewording.swapping import by_noise
from tunesmith.errors import DataError, SpecError

Row = dict[str, Any]
WORDS = "quick fast swift\nfilm movie picture\nwonderful marvelous\nwatch view\n"


@pytest.fixture
def words(tmp_path: Path) -> str:
    path = tmp_path / "words.txt"
    path.write_text(WORDS, "utf-8")
    return f"words={path}"


def write(path: Path, rows: list[Row]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_synonyms_change_words_and_leave_what_the_answer_rests_on(
    tmp_path: Path, words: str
) -> None:
    rows = [
        {"text": "A wonderful film to watch for 30 dollars", "label": "film"},
        {"text": "No word of the list stands here", "label": "none"},
    ]
    source = write(tmp_path / "in.jsonl", rows)
    account = change_rows("augment", source, tmp_path / "out.jsonl", [words, "share=1", "times=2"])
    made = read(tmp_path / "out.jsonl")
    assert [row["label"] for row in made] == ["film", "film", "none"]
    assert made[1]["text"] == "A marvelous film to view for 30 dollars"
    assert made[1]["tunesmith_from"] == {
        "file": "in.jsonl",
        "row": 1,
        "steps": ["augment"],
        "augmented": "synonyms",
    }
    assert (account.read, account.added, account.written) == (2, 1, 3)
    assert any("3 variants not made" in note for note in account.notes)
    again = change_rows("augment", source, tmp_path / "again.jsonl", [words, "share=1", "times=2"])
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()
    assert again.added == 1


def test_the_last_question_of_a_conversation_changes(tmp_path: Path, words: str) -> None:
    turns = [
        {"role": "user", "content": "a quick film"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "another quick one"},
        {"role": "assistant", "content": "no"},
    ]
    source = write(tmp_path / "in.jsonl", [{"messages": turns}])
    change_rows("augment", source, tmp_path / "out.jsonl", [words, "share=1"])
    before, after = (row["messages"] for row in read(tmp_path / "out.jsonl"))
    assert before == turns and [*after[:2], after[3]] == [*turns[:2], turns[3]]
    assert after[2]["content"] in ("another fast one", "another swift one")


@pytest.mark.parametrize(
    ("text", "variant", "why"),
    [
        ("pay 30 dollars", "pay 31 dollars", "numbers"),
        ("pay it at https://a.b", "pay it at https://a.c", "numbers"),
        ("it is not good", "it is good", "negation"),
        ("这个不好", "这个好", "negation"),
        ("the film is long", "the movie is long", "answer"),
        ("a word or two", "a word  or two ", "same"),
        ("short", "a very much longer text than that was", "length"),
        ("the film is long", "the film is lengthy", None),
    ],
)
def test_what_may_not_change(text: str, variant: str, why: str | None) -> None:
    assert broken(text, variant, {"film"}) == why


def test_noise_touches_nothing_that_is_kept() -> None:
    text = "Please write to me@mail.com about 2026-11-27, the wonderful `code` and the label"
    kept = protected(text, {"label"})
    for seed in range(200):
        made = by_noise(text, kept, 0.5, random.Random(seed))
        assert made != text and broken(text, made, {"label"}) is None


def test_chinese_noise_sounds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "homophones.jsonl").write_text(json.dumps({"words": "问\t文\t闻"}) + "\n", "utf-8")
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    made = {by_noise("请问怎么退货", [], 0.1, random.Random(n)) for n in range(20)}
    assert made == {"请文怎么退货", "请闻怎么退货"}


def test_nearly_a_held_out_row_is_refused(tmp_path: Path, words: str) -> None:
    long = "The committee met on Tuesday and spoke of a quick answer to the letter of the city"
    rows = [{"question": long, "answer": "a"}, {"question": "a quick one", "answer": "b"}]
    source = write(tmp_path / "in.jsonl", rows)
    held = write(tmp_path / "held.jsonl", [{"question": long.replace("quick", "prompt")}])
    how = [words, "share=1", f"against={held}"]
    account = change_rows("augment", source, tmp_path / "out.jsonl", how)
    assert [row["answer"] for row in read(tmp_path / "out.jsonl")] == ["a", "b", "b"]
    assert any("1 variant refused: nearly a row that is held out" in one for one in account.notes)


def test_what_is_made_from_a_held_out_row_is_refused(tmp_path: Path) -> None:
    asked = ["Where is the house of the old king?", "How far is it from here to the sea?"]
    source = write(tmp_path / "in.jsonl", [{"question": text, "answer": "7"} for text in asked])
    held = write(tmp_path / "held.jsonl", [{"question": asked[0], "answer": "8"}])
    how = ["how=templates", "templates=['Be so kind as to tell me: {text}']", f"against={held}"]
    account = change_rows("augment", source, tmp_path / "out.jsonl", how)
    made = [row["question"] for row in read(tmp_path / "out.jsonl")]
    assert made == [*asked, f"Be so kind as to tell me: {asked[1]}"]
    told = "1 variant refused: nearly a row that is held out, or made from one"
    assert any(told in note for note in account.notes)


def test_a_template_is_of_the_language_of_the_text(tmp_path: Path) -> None:
    rows = [
        {"question": text, "answer": "a"} for text in ("请问怎么退货？", "How do I return it?") * 9
    ]
    how = [
        "how=templates",
        "templates=['请回答：{text}','Tell me: {text}','{text} :-)']",
        "times=2",
    ]
    change_rows("augment", write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", how)
    made = {row["question"] for row in read(tmp_path / "out.jsonl")}
    assert {"请回答：请问怎么退货？", "Tell me: How do I return it?"} < made
    assert not {"Tell me: 请问怎么退货？", "请回答：How do I return it?"} & made


def test_times_stay(tmp_path: Path) -> None:
    groups = tmp_path / "words.txt"
    groups.write_text("week month\ntwice once\n上周 昨天\n", "utf-8")
    rows = [
        {"question": f"{text} {n}", "answer": "a"}
        for n, text in enumerate(("last week twice", "上周买的"))
    ]
    how = [f"words={groups}", "share=1"]
    with pytest.raises(DataError, match="nothing in the text could be changed"):
        change_rows("augment", write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", how)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_nothing_made_is_held_out_nor_trained_beside_its_original(
    tmp_path: Path, words: str, name: str
) -> None:
    rows = [
        {"question": f"a quick film {hash((n, 1)):x} {hash((n, 2)):x}", "answer": f"{n}"}
        for n in range(100)
    ]
    source = write(tmp_path / "in.jsonl", rows)
    change_rows("augment", source, tmp_path / name, [words, "share=1"])
    made = api.check({"data": {"path": str(tmp_path / name), "held_out": 0.2}}).prepared
    held = {item.id for item in (*made.watch, *made.proof)}
    place = (lambda one: int(one.rpartition(":")[2])) if name == "out.jsonl" else None
    assert len(held) == 20 and made.ledger.rows == 200
    assert made.ledger.reasons() == {"made from a held-out row": 20}
    assert len(made.train) == 160
    if place is not None:
        assert {place(one) % 2 for one in held} == {1}, "odd rows are the originals"
        trained = {place(item.id) for item in made.train}
        assert not {place(one) + 1 for one in held} & trained


def test_every_problem_is_told_and_nothing_written(tmp_path: Path, words: str) -> None:
    source = write(tmp_path / "in.jsonl", [{"question": "nothing of it", "answer": "a"}])
    out = tmp_path / "out.jsonl"
    with pytest.raises(DataError, match=r"no row could be reworded.*1 variant not made"):
        change_rows("augment", source, out, [words])
    with pytest.raises(SpecError, match=r"words: goes with how=synonyms only"):
        change_rows("augment", source, out, [words, "how=noise"])
    with pytest.raises(SpecError, match=r"templates: .*\{text\}"):
        change_rows("augment", source, out, ["how=templates", "templates=[Please]"])
    spans = {"text": "Ada lives", "entities": [{"start": 0, "end": 3, "label": "p"}]}
    with pytest.raises(SpecError, match="places of characters"):
        change_rows("augment", write(tmp_path / "e.jsonl", [spans]), out, [words])
    assert not out.exists()


def test_templates_put_the_text_into_another_sentence(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"question": "What is 2 + 2?", "answer": "4"}])
    how = ["how=templates", "templates=['Tell me: {text}']"]
    change_rows("augment", source, tmp_path / "out.jsonl", how)
    assert read(tmp_path / "out.jsonl")[1]["question"] == "Tell me: What is 2 + 2?"
