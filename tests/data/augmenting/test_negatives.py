"""Hard negatives: alike, of another row, and never what belongs to the same question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.api import change_rows
from tunesmith.data.augmenting.negatives import negatives, terms_of
from tunesmith.data.reading import examples
from tunesmith.errors import DataError, SpecError
from tunesmith.examples import TextPair
from tunesmith.settings.run import Data

PAIRS = [
    ("how do I reset the red pump", "hold the red button of the pump for ten seconds"),
    ("how do I reset the  red pump", "press the red switch at the back of the pump"),
    ("where is the red pump", "the red pump stands in the cellar beside the old stairs"),
    ("how do I clean a filter", "rinse it with warm water"),
    ("the pump is red and does not reset", "hold the red  button of the pump for ten seconds"),
    ("怎样重置水泵", "按住水泵红色按钮十秒钟"),
    ("水泵在哪里", "水泵在地下室楼梯旁边"),
]


def pairs() -> list[TextPair]:
    return [TextPair(*pair) for pair in PAIRS]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)


def by_the_formula(question: str, texts: list[str]) -> list[float]:
    """BM25 written out, text by text."""
    known = [terms_of(text) for text in texts]
    usual = np.mean([len(one) for one in known])
    scores = []
    for own in known:
        score = 0.0
        for term in {*terms_of(question)}:
            having = sum(term in one for one in known)
            idf = np.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            count = own.count(term)
            score += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(own) / usual))
        scores.append(float(score))
    return scores


def test_the_likest_text_of_another_row_is_taken() -> None:
    found = list(negatives(pairs(), 1))
    # The first two ask the same, so neither's answer is a negative of the other.
    cellar = PAIRS[2][1]
    assert found[0] == found[1] == [cellar]
    # The fifth belongs to the text of the first row, spaced otherwise; the second's is likest else.
    texts = [PAIRS[n][1] for n in (0, 1, 2, 3, 5, 6)]
    scores = by_the_formula(PAIRS[4][0], texts)
    best = max((score, text) for score, text in zip(scores, texts, strict=True) if text != texts[0])
    assert found[4] == [best[1]]
    assert found[5] == [PAIRS[6][1]] and found[6] == [PAIRS[5][1]]
    # Its words stand in no other text, and its own is no negative.
    assert found[3] == []


def test_no_negative_is_a_positive_of_the_same_question() -> None:
    found = list(negatives(pairs(), 5))
    assert max(map(len, found)) > 1, "there are several to choose from"
    for pair, others in zip(pairs(), found, strict=True):
        same = {
            " ".join(answer.split())
            for question, answer in PAIRS
            if question.split() == pair.text.split()
        }
        assert not same & {" ".join(text.split()) for text in others}
        assert len({*others}) == len(others)


def test_rows_keep_their_columns_and_are_read_as_pairs_with_negatives(tmp_path: Path) -> None:
    rows = [{"id": n, "query": one, "passage": two} for n, (one, two) in enumerate(PAIRS)]
    rows[0]["negatives"] = ["given before"]
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    account = change_rows("augment", source, out, ["how=negatives", "times=2"])
    made = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["id"] for row in made] == list(range(7))
    assert made[0]["negatives"][0] == "given before" and len(made[0]["negatives"]) == 2
    assert "augmented" not in made[0]["tunesmith_from"]
    assert account.read == account.written == 7 and account.added == 0
    read = [example for _, example in examples(Data(path=str(out)), TextPair)]
    assert [len(one.negatives) for one in read if isinstance(one, TextPair)][2] == 2


def test_what_has_no_negatives_is_told(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    alone = write(tmp_path / "a.jsonl", [{"query": "a b", "passage": "a b c"}] * 2)
    with pytest.raises(DataError, match="no text of another row"):
        change_rows("augment", alone, out, ["how=negatives"])
    graded = write(tmp_path / "g.jsonl", [{"text": "a", "second": "b", "similarity": 0.2}])
    with pytest.raises(SpecError, match="is graded"):
        change_rows("augment", graded, out, ["how=negatives"])
    with pytest.raises(SpecError, match="share: goes with how=synonyms, noise only"):
        change_rows("augment", alone, out, ["how=negatives", "share=0.2"])
    assert not out.exists()
