"""fastokens makes the ids that the model's own tokenizer makes, or is not used."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from material.chat_templates import (
    CHATML,
    SAMPLES,
    SPECIAL,
    byte_level,
    sentencepiece_like,
)
from tunesmith.data.rendering.text_to_ids import PlainTokenizer, QuickIds, ReadOtherwise, plain_ids
from tunesmith.data.rendering.tokenizers import Tokenizer as AnyTokenizer
from tunesmith.models.finding.hub import find_model
from tunesmith.models.loading.tokenizer import load_tokenizer

pytest.importorskip("fastokens", reason="fastokens has no wheel for this machine")
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA = QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
ODD = " \n\t\r\u3000\xa0\u2028\u200b\x1c\x85\u0301\u0338\u1100\u1161\ufb01①½"


def in_pieces(*, split: str, normalizer: Any = None, whole: bool = False) -> AnyTokenizer:
    """A tokenizer whose parts are those of a family of models, over a small vocabulary."""
    inner = Tokenizer(models.BPE(ignore_merges=whole))
    if normalizer is not None:
        inner.normalizer = normalizer
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(split), "isolated"), pieces]
    )
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(
        [*SAMPLES, "the weather there, 今天天气很好，今天的天气"] * 3, trainer
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>")


TOKENIZERS = {
    "gpt2": lambda: byte_level(CHATML, "<|im_end|>"),
    "swallows": lambda: byte_level(CHATML, "<|im_end|>", swallows=True),
    "bos": lambda: byte_level(CHATML, "<|im_end|>", bos=True),
    "qwen": lambda: in_pieces(split=QWEN, normalizer=normalizers.NFC()),
    "llama 3": lambda: in_pieces(split=LLAMA, whole=True),
    "llama 2": lambda: sentencepiece_like(CHATML, "<|im_end|>"),
}


def odd_texts(number: int) -> list[str]:
    """Texts of letters, spaces, marks of templates and any code points."""
    draw = random.Random(0)
    texts: list[str] = []
    for _ in range(number):
        parts: list[str] = []
        for _ in range(draw.randint(0, 40)):
            any_letter = chr(
                draw.choice([draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)])
            )
            chinese, latin = chr(draw.randrange(0x4E00, 0x9FFF)), chr(draw.randrange(32, 127))
            marks = draw.choice([*SPECIAL, "'s", "'LL", "the", "今天"])
            parts.append(draw.choice([any_letter, chinese, latin, draw.choice(ODD), marks]))
        texts.append("".join(parts))
    return texts


@pytest.mark.parametrize("name", TOKENIZERS)
def test_ids_are_those_of_the_tokenizer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuickIds, "OWN", 1)
    tokenizer = TOKENIZERS[name]()
    own = plain_ids(tokenizer)
    quick = QuickIds(tokenizer, own)
    for text in odd_texts(1500):
        assert quick(text) == own(text), repr(text)
    assert (quick._quick is None) == (name == "llama 2"), "which fastokens does not take"


def test_ids_of_published_rows_are_those_of_the_starter(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuickIds, "OWN", 1)
    monkeypatch.setattr(QuickIds, "COMPARED", 0)
    monkeypatch.setattr(QuickIds, "EACH", 10**9)
    tokenizer = load_tokenizer(find_model("starter"))
    own = plain_ids(tokenizer)
    quick = QuickIds(tokenizer, own)
    for name in ("alpaca_en/alpaca_en_demo.json", "alpaca_zh/alpaca_zh_demo.json"):
        for row in json.loads((shared_data / name).read_text("utf-8"))[:300]:
            text = "<|im_start|>user\n" + row["instruction"] + "<|im_end|>\n" + row["output"]
            assert quick(text) == own(text), repr(text)
    assert quick._quick is not None


def test_the_own_tokenizer_reads_the_first_texts_and_some_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    for name, number in {"OWN": 3, "COMPARED": 2, "EACH": 10}.items():
        monkeypatch.setattr(QuickIds, name, number)
    tokenizer = byte_level(CHATML, "<|im_end|>")
    plain = plain_ids(tokenizer)

    def own(text: str) -> list[int]:
        read.append(text)
        return plain(text) if text != "text 20" else [1]

    quick = QuickIds(tokenizer, own)
    with pytest.raises(ReadOtherwise, match="text 20"):
        for number in range(1, 30):
            quick(f"text {number}")
    assert read == [f"text {number}" for number in (1, 2, 3, 4, 10, 20)]


def test_another_kind_of_tokenizer_reads_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuickIds, "OWN", 1)
    inner = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]")
    pieces = PlainTokenizer(tokenizer)
    pieces.quicken()
    assert [pieces.ids("a b c") for _ in range(3)] == [[1, 2, 0]] * 3
    split = byte_level(CHATML, "<|im_end|>")
    split.split_special_tokens = True
    quick = QuickIds(split, plain_ids(split))
    for _ in range(3):
        assert quick("<|im_end|>") == split("<|im_end|>", add_special_tokens=False)["input_ids"]
        assert len(quick("<|im_end|>")) > 1


def test_without_fastokens_the_own_tokenizer_reads_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuickIds, "OWN", 1)
    monkeypatch.setitem(sys.modules, "fastokens", None)
    tokenizer = byte_level(CHATML, "<|im_end|>")
    quick = QuickIds(tokenizer, plain_ids(tokenizer))
    assert [quick("Hi there") for _ in range(2)] == [plain_ids(tokenizer)("Hi there")] * 2
    assert quick._quick is None
