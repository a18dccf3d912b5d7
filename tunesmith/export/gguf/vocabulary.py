"""The tokenizer in llama.cpp's words: tokens, their kinds, merges, how a text is cut before them,
and the tokens that end an answer.
"""

from __future__ import annotations

import json
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
    told = json.loads(path.read_text(encoding="utf-8"))
    changed = told.get("normalizer") or {"type": "NFC"}
    if told["model"]["type"] != "BPE" or not (changed["type"] == "NFC" or _empty(changed)):
        return None
    cut = told.get("pre_tokenizer") or {}
    steps = cut["pretokenizers"] if cut.get("type") == "Sequence" else [cut]
    shapes = [_shape(step) for step in steps]
    known: dict[str, list[tuple[str, object]]] = {
        "gpt-2": [(BYTES, True)],
        "smollm": [("Digits", True), (BYTES, True)],
        "llama-bpe": [("Split", LLAMA3), (BYTES, False)],
        "qwen2": [("Split", QWEN2), (BYTES, False)],
    }
    return next((name for name, shape in known.items() if shape == shapes), None)


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
    if cut_of(folder) is not None:
        return []
    return [Problem("format", say("export.gguf_tokenizer", folder=folder, script=SCRIPT))]


def add_vocabulary(
    writer: gguf.GGUFWriter,
    tokenizer: Tokenizer,
    folder: Path,
    rows: int,
    stop_ids: Sequence[int],
) -> None:
    """Writes the vocabulary of ``folder``'s tokenizer, with unused tokens up to ``rows``, its chat
    template, and every token that ends an answer.
    """
    import gguf

    told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = {one["id"]: one for one in told["added_tokens"]}
    own = {place: text for text, place in told["model"]["vocab"].items()}
    texts, kinds = [], []
    for place in range(rows):
        if place in added:
            texts.append(added[place]["content"])
            special = added[place]["special"]
            kinds.append(gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED)
        elif place in own:
            texts.append(own[place])
            kinds.append(gguf.TokenType.NORMAL)
        else:
            texts.append(f"[PAD{place}]")
            kinds.append(gguf.TokenType.UNUSED)
    cut = cut_of(folder)
    assert cut is not None, "the tokenizer was looked at before"
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut)
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    merges = told["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    _add_special(writer, tokenizer, stop_ids)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


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
