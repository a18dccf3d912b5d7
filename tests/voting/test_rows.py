"""Votes become rows that our own readers read, and their prompts prove nothing ever after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from material.voted import arena_of
from tunesmith import api
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.errors import DataError
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.settings.run import validate
from tunesmith.voting.comparison import Comparison


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> Tokenizer:
    return load_tokenizer(tiny_llama)


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """60 prompts: 40 decided, 12 both bad, 8 equal."""
    found = arena_of(tmp_path_factory.mktemp("arena"), prompts=60, twice=0)
    for place, ballot in enumerate(found.ballots):
        found.vote(ballot, "right" if place < 40 else "both_bad" if place < 52 else "tie", "me")
    return found


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def prepared(data: object, tokenizer: Tokenizer, objective: str, **more: Any) -> Prepared:
    given = {"path": str(data), **more}
    run = validate({"model": "m", "data": given, "out": "o", "objective": objective})
    return prepare(run, tokenizer, limit=2048)


def test_one_command_writes_pairs_and_judged_answers(voted: Comparison, tmp_path: Path):
    written = voted.write_rows(tmp_path)
    assert (written.pairs, written.judged, written.ties, written.conflicts) == (40, 104, 8, 0)
    by_question = {ballot.item.messages[-1]["content"]: ballot for ballot in voted.ballots}
    for row in read(tmp_path / "pairs.jsonl"):
        ballot = by_question[row["messages"][-1]["content"]]
        assert row["chosen"] == ballot.item.answers[ballot.right]
        assert row["rejected_model"] == voted.contenders[ballot.left]
    good = [row["label"] for row in read(tmp_path / "judged.jsonl")]
    assert (good.count(True), good.count(False)) == (40, 64)


def test_votes_that_contradict_each_other_teach_nothing(tmp_path: Path):
    found = arena_of(tmp_path / "arena", prompts=10, twice=0)
    for who, choice in (("a", "left"), ("b", "left"), ("c", "right")):
        found.vote(found.ballots[0], choice, who)  # type: ignore[arg-type]
    for who, choice in (("a", "left"), ("b", "right")):
        found.vote(found.ballots[1], choice, who)  # type: ignore[arg-type]
    written = found.write_rows(tmp_path)
    assert (written.pairs, written.conflicts) == (1, 1)
    [row] = read(tmp_path / "pairs.jsonl")
    assert row["chosen"] == found.ballots[0].item.answers[found.ballots[0].left]
    empty = arena_of(tmp_path / "empty")
    empty.vote(empty.ballots[0], "tie", "me")
    with pytest.raises(DataError, match="none of the 1 vote says"):
        empty.write_rows(tmp_path / "none")


@pytest.mark.parametrize("objective", ["dpo", "reward", "kto"])
def test_voted_rows_are_watched_and_never_prove(
    objective: str, voted: Comparison, tokenizer: Tokenizer, tmp_path: Path
):
    voted.write_rows(tmp_path)
    file = "judged.jsonl" if objective == "kto" else "pairs.jsonl"
    found = prepared(tmp_path / file, tokenizer, objective, held_out=10)
    assert not found.proof and len(found.watch) == 10 and len(found.train) >= 30
    assert any("used for validation only" in note for note in found.ledger.notes)
    assert not found.choosing, "10 rows are too few to choose a model by"
    assert any("Only 10 rows are for validation" in note for note in found.ledger.notes)
    # A step of `tunesmith data` keeps the mark, through a table too.
    for name in ("again.jsonl", "again.csv"):
        api.change_rows("clean", str(tmp_path / file), tmp_path / name)
    again = prepared(tmp_path / "again.jsonl", tokenizer, objective, held_out=10)
    assert not again.proof


def test_a_held_out_file_with_the_same_prompts_loses_them(
    voted: Comparison, tokenizer: Tokenizer, tmp_path: Path
):
    voted.write_rows(tmp_path)
    asked = [row["messages"][-1]["content"] for row in read(tmp_path / "pairs.jsonl")[:15]]
    asked += [f"another question about {word}" for word in ("tea", "rain", "glass")]
    rows = [{"prompt": one, "chosen": f"yes {one}", "rejected": f"no {one}"} for one in asked]
    held = tmp_path / "held.jsonl"
    held.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = prepared(tmp_path / "pairs.jsonl", tokenizer, "dpo", held_out=str(held))
    questions = [item.example.prompt.turns[-1].content for item in found.proof]  # type: ignore[union-attr]
    assert sorted(questions) == sorted(asked[15:])
    assert found.ledger.reasons() == {"voted on": 15}
    assert "dropped 15: their prompts were voted on" in "\n".join(found.ledger.lines())
    # As proof rows of their own they are left out too.
    marked = prepared(held, tokenizer, "dpo", held_out=str(tmp_path / "pairs.jsonl"))
    assert not marked.proof
