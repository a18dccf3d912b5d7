"""The tokenizer in llama.cpp's words: tokens, their kinds, merges, how a text is cut before them,
and the tokens that end an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import Problem
from tunesmith.export.gguf.architectures import SCRIPT
from tunesmith.words import say

if TYPE_CHECKING:
    import gguf

    from tunesmith.data.rendering.tokenizers import Tokenizer

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
SPACE = "▁"
BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""A token for one byte of a letter that is none of the others."""
BYTES = "ByteLevel"
"""tokenizers' name for the step that writes every byte as a letter; by itself it cuts a text as
GPT-2 does.
"""


def cut_of(folder: Path) -> str | None:
    """Returns llama.cpp's name (``tokenizer.ggml.pre``) for how a text is cut before the merges;
    None where it has none that is known here.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    changed = tokenizer.get("normalizer") or {"type": "NFC"}
    if tokenizer["model"]["type"] != "BPE" or not (changed["type"] == "NFC" or _empty(changed)):
        return None
    cut = tokenizer.get("pre_tokenizer") or {}
    steps = cut["pretokenizers"] if cut.get("type") == "Sequence" else [cut]
    shapes = [_shape(step) for step in steps]
    shapes_of: dict[str, list[tuple[str, object]]] = {
        "gpt-2": [(BYTES, True)],
        "smollm": [("Digits", True), (BYTES, True)],
        "llama-bpe": [("Split", LLAMA3), (BYTES, False)],
        "qwen2": [("Split", QWEN2), (BYTES, False)],
    }
    return next((name for name, shape in shapes_of.items() if shape == shapes), None)


def space_prefix(folder: Path) -> bool | None:
    """Tells whether a text begins with a space for a tokenizer that writes spaces as ▁ and unknown
    letters as bytes, as Gemma, Llama 2 and Phi-3 do; None for any other tokenizer.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    if tokenizer["model"]["type"] != "BPE" or not tokenizer["model"].get("byte_fallback"):
        return None
    changed, cut = tokenizer.get("normalizer") or {}, tokenizer.get("pre_tokenizer")
    steps = changed["normalizers"] if changed.get("type") == "Sequence" else [changed]
    written = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    if steps == [{"type": "Prepend", "prepend": SPACE}, written] and cut is None:
        return True
    # Gemma cuts at spaces, of which none is left by then.
    never = cut is None or (cut["type"] == "Split" and cut["pattern"] == {"String": " "})
    return False if steps == [written] and never else None


def _empty(normalizer: dict[str, Any]) -> bool:
    return normalizer["type"] == "Sequence" and not normalizer["normalizers"]


def _shape(step: dict[str, Any]) -> tuple[str, object]:
    """Returns a step of the cut with what matters of its settings."""
    kind = step.get("type", "")
    if kind == "Digits":
        return kind, step["individual_digits"]
    if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
        return kind, step["pattern"].get("Regex")
    if kind == BYTES and not step.get("add_prefix_space"):
        return kind, step.get("use_regex", True)
    return kind, None


def refused_vocabulary(folder: Path) -> list[Problem]:
    """Returns a problem where the tokenizer is none that is written here."""
    if cut_of(folder) is not None or space_prefix(folder) is not None:
        return []
    return [Problem("format", say("export.gguf_tokenizer", folder=folder, script=SCRIPT))]


def add_vocabulary(
    writer: gguf.GGUFWriter,
    tokenizer: Tokenizer,
    folder: Path,
    rows: int,
    stop_ids: Sequence[int],
) -> None:
    """Writes the vocabulary of ``folder``'s tokenizer, with unused tokens up to ``rows``, and every
    token that ends an answer.
    """
    import gguf

    stored = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = {entry["id"]: entry for entry in stored["added_tokens"]}
    text_of = {number: text for text, number in stored["model"]["vocab"].items()}
    texts, kinds = [], []
    for number in range(rows):
        if number in added:
            texts.append(added[number]["content"])
            special = added[number]["special"]
            kinds.append(gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED)
        elif number in text_of:
            texts.append(text_of[number])
            kinds.append(gguf.TokenType.NORMAL)
        else:
            texts.append(f"[PAD{number}]")
            kinds.append(gguf.TokenType.UNUSED)
    merges = [
        merge if isinstance(merge, str) else " ".join(merge) for merge in stored["model"]["merges"]
    ]
    prefix, cut = space_prefix(folder), cut_of(folder)
    if prefix is not None:
        _add_pieces(writer, texts, kinds, merges, stored["model"].get("unk_token"))
        writer.add_add_space_prefix(prefix)
    else:
        assert cut is not None, "the tokenizer was looked at before"
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(cut)
        writer.add_token_list(texts)
        writer.add_token_types(kinds)
        writer.add_token_merges(merges)
    _add_special(writer, tokenizer, stop_ids)


def _add_pieces(
    writer: Any, texts: list[str], kinds: list[int], merges: list[str], unknown: str | None
) -> None:
    """Writes tokens for llama.cpp's SentencePiece, which joins the neighbours whose common token
    has the highest score: the earlier the merge that makes a token, the higher.
    """
    import gguf

    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", ""), rank)
    for index, text in enumerate(texts):
        if kinds[index] == gguf.TokenType.NORMAL and BYTE.fullmatch(text):
            kinds[index] = gguf.TokenType.BYTE
        elif text == unknown:
            kinds[index] = gguf.TokenType.UNKNOWN
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(texts)
    writer.add_token_scores([-float(ranks.get(text, len(merges))) for text in texts])
    writer.add_token_types(kinds)


def _add_special(writer: Any, tokenizer: Tokenizer, stop_ids: Sequence[int]) -> None:
    """Names the special tokens. llama.cpp ends an answer at end of sequence and end of turn, so
    that two stop tokens have a place each.
    """
    begins = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    writer.add_add_bos_token(bool(begins))
    end = tokenizer.eos_token_id if tokenizer.eos_token_id in stop_ids else stop_ids[0]
    more = [token for token in stop_ids if token != end]
    writer.add_eos_token_id(end)
    for token, add in zip(more, (writer.add_eot_token_id, writer.add_eom_token_id), strict=False):
        add(token)
    for token, add in (
        (tokenizer.bos_token_id, writer.add_bos_token_id),
        (tokenizer.pad_token_id, writer.add_pad_token_id),
        (tokenizer.unk_token_id, writer.add_unk_token_id),
    ):
        if token is not None:
            add(token)
