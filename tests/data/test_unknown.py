"""Letters that a tokenizer does not know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from material.chat_templates import TEMPLATES, byte_level, sentencepiece_like
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.data.rendering.text_to_ids import PlainTokenizer
from tunesmith.data.unknown import Unknown
from tunesmith.errors import DataError
from tunesmith.examples import Text
from tunesmith.settings.run import validate

LATIN = "abcdefghijklmnopqrstuvwxyz0123456789?"


def of_letters(letters: str = LATIN) -> Any:
    """A tokenizer that knows single letters, and writes [UNK] for all others."""
    known = ["[UNK]", "[PAD]", "[EOS]", *letters]
    vocabulary = {piece: index for index, piece in enumerate(known)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split("", "isolated")]
    )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "eos_token": "[EOS]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


def prepared(path: Path, tokenizer: Any, objective: str = "classify", **data: Any) -> Prepared:
    asked = {"model": "m", "out": "o", "objective": objective}
    asked["data"] = {"path": str(path), "held_out": 0, **data}
    return prepare(validate(asked), tokenizer)


def written(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def rows(path: Path, share: float) -> Path:
    """Rows of four letters each; in a share of them two are Chinese."""
    texts = ["中文" if n < 100 * share else "xy" for n in range(100)]
    return written(
        path, [{"text": f"{text}{n:02}", "label": "ab"[n % 2]} for n, text in enumerate(texts)]
    )


def counted(tokenizer: Any, *texts: str) -> Unknown:
    """What is unknown in the rows of one file."""
    unknown = Unknown(PlainTokenizer(tokenizer))
    for number, text in enumerate(texts, 1):
        pieces = unknown.look(Text(text), number)
        if pieces is not None:
            unknown.add(pieces)
    return unknown


def test_share_is_exact_and_examples_are_the_letters() -> None:
    unknown = counted(of_letters(), "ab 中c")
    assert (unknown.all, unknown.lost, unknown.split) == (4, 1, 0)
    assert list(unknown.examples) == ["中"]


def test_many_rows_are_estimated_without_a_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.unknown.ALL", 32)
    unknown = counted(of_letters(), *(["ab"] * 32), *(["中b"] * 160))
    assert (unknown.all, unknown.lost) == (2 * 192, 160)


@pytest.mark.parametrize(("share", "said"), [(0.0, False), (0.1, False), (0.2, True)])
def test_above_five_percent_is_said(tmp_path: Path, share: float, said: bool) -> None:
    found = prepared(rows(tmp_path / "a.jsonl", share), of_letters())
    assert ("unknown to the tokenizer (most often: " in str(found.ledger.notes)) == said
    assert found.ledger.to_json()["unknown"] == {"lost": share / 2, "split": 0}


def test_above_thirty_percent_the_run_stops_unless_accepted(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.jsonl", 0.7)
    with pytest.raises(DataError, match=r"data\.unknown: 35 % .*data\.unknown=accept"):
        prepared(path, of_letters())
    found = prepared(path, of_letters(), unknown="accept")
    assert len(found.train) == 100 and found.ledger.unknown["lost"] == 0.35


def test_bytes_that_words_fall_back_to_are_lost_and_bytes_of_letters_are_told() -> None:
    template, eos, *_ = TEMPLATES["chatml"]
    fallback = counted(sentencepiece_like(template, eos), "ab 好")
    own = counted(byte_level(template, eos), "ab 好")
    assert fallback.lost == 3 and fallback.split == 0
    assert own.lost == 0 and own.split > 0
    with pytest.raises(DataError, match=r"data\.unknown"):
        fallback.note(accepted=False)
    assert "好" in (own.note(accepted=False) or "")


def test_an_end_token_that_is_named_unknown_is_none(tmp_path: Path) -> None:
    template, eos, *_ = TEMPLATES["chatml"]
    tokenizer = byte_level(template, eos)
    tokenizer.unk_token = eos
    path = written(tmp_path / "a.jsonl", [{"question": f"{eos} {n}", "answer": eos} for n in "ab"])
    assert prepared(path, tokenizer, "sft").ledger.unknown == {"lost": 0.0, "split": 0.0}
