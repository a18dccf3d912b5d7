"""Rows longer than the limit: ``data.too_long``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.ledger import histogram
from tunesmith.errors import DataError, Problem
from tunesmith.words import say

LONGEST = 2048
"""Longest sequence where neither the settings nor the tokenizer say another (tokens)."""
DROPPED = 0.01
"""Up to this share of the rows is dropped without being asked for."""


def default_limit(model_max_length: int | None) -> int:
    """Returns the tokenizer's own limit, at most ``LONGEST``; tokenizers that know none give a huge
    number.
    """
    return min(model_max_length or LONGEST, LONGEST)


def refuse_too_many(
    lengths: Sequence[int], limit: int, policy: str | None, *, kind: str, most: int
) -> None:
    """Raises DataError with the numbers and the remedies where too many rows are too long for the
    policy.

    ``kind`` says what they are: texts, texts that are read, chats, or chats on two sides; ``most``
    is what the model reads.
    """
    if policy == "split" and kind != "texts":
        raise DataError(Problem("data.too_long", say("ledger.split_chat")))
    number = sum(length > limit for length in lengths)
    allowed = {"stop": 0.0, None: DROPPED * len(lengths)}.get(policy, float("inf"))
    if number <= allowed:
        return
    told = histogram(lengths)
    quantiles = {name: told[name] for name in ("p50", "p90", "p99", "longest")}
    split = say("ledger.too_long_split") if kind == "texts" else ""
    cut = {
        "texts": say("ledger.cut_text"),
        "chats": say("ledger.cut_question"),
        "read": say("ledger.cut_text"),
        "sides": say("sides.cut"),
    }[kind]
    percent = f"{100 * number / len(lengths):.1f}"
    values = {"number": number, "rows": len(lengths), "percent": percent, "limit": limit}
    longer = ""
    if told["longest"] <= most:
        longer = say("ledger.more_length", length=told["longest"])
    elif limit < most:
        longer = say("ledger.most_length", length=most)
    text = say("ledger.too_long", **values, cut=cut, split=split, longer=longer, **quantiles)
    raise DataError(Problem("data.max_length", text))


def unanswered_note(number: int, rows: int, limit: int) -> str | None:
    """Returns a note on rows whose answer lies wholly beyond the limit; raises DataError where they
    are more than may be dropped.
    """
    if not number:
        return None
    told = {"number": number, "rows": rows, "limit": limit, "percent": f"{100 * number / rows:.1f}"}
    if number > DROPPED * rows:
        raise DataError(Problem("data.max_length", say("ledger.unanswered_stop", **told)))
    return say("ledger.unanswered", **told)


def truncate_row(
    sequences: Sequence[Tokens], limit: int, *, bos: Sequence[int] = (), ends: int = 0
) -> tuple[Tokens, ...]:
    """Cuts the sequences of a row to ``limit`` tokens; sequences that answer one prompt keep the
    same part of it.
    """
    sequences = [_shorter_source(tokens, limit, ends) for tokens in sequences]
    prompts = [tokens.ids_T[: _first(tokens)].tobytes() for tokens in sequences]
    kept = [_kept(tokens, limit, _head(tokens, bos)) for tokens in sequences]
    least = {
        prompt: min(k for p, k in zip(prompts, kept, strict=True) if p == prompt)
        for prompt in prompts
    }
    return tuple(
        _cut(tokens, limit, _head(tokens, bos), least[prompt])
        for tokens, prompt in zip(sequences, prompts, strict=True)
    )


def truncate(tokens: Tokens, limit: int, *, bos: Sequence[int] = (), ends: int = 0) -> Tokens:
    """Cuts the sequence to ``limit`` tokens: the beginning of its context goes first, so that the
    answers and their stop stay.

    A leading ``bos`` stays. Where the trained part alone is too long its end is cut, and up to half
    of the limit is left to the context right before it. An encoder's side has a limit of its own
    and loses its end, but for the last ``ends`` tokens, which say that it ends.
    """
    return truncate_row([tokens], limit, bos=bos, ends=ends)[0]


def _shorter_source(tokens: Tokens, limit: int, ends: int) -> Tokens:
    source_T = tokens.source_ids_T
    if source_T is None or len(source_T) <= limit:
        return tokens
    return replace(
        tokens, source_ids_T=np.r_[source_T[: limit - ends], source_T[len(source_T) - ends :]]
    )


def _first(tokens: Tokens) -> int:
    """Returns the index of the first trained token."""
    return int(np.argmax(tokens.weights_T != 0))


def _head(tokens: Tokens, bos: Sequence[int]) -> int:
    """Counts the tokens that the tokenizer itself put at the beginning."""
    return len(bos) if tokens.ids_T[: len(bos)].tolist() == list(bos) else 0


def _kept(tokens: Tokens, limit: int, head: int) -> int:
    """Counts the tokens of the context that may stay."""
    first = _first(tokens)
    context = first - head
    room = limit - head
    kept = min(context, room - (len(tokens.ids_T) - first))
    return min(context, room // 2) if kept < min(context, 1) else kept


def _cut(tokens: Tokens, limit: int, head: int, kept: int) -> Tokens:
    first = _first(tokens)
    if first - head == kept and len(tokens.ids_T) <= limit:
        return tokens
    keep = np.r_[np.arange(head), np.arange(first - kept, len(tokens.ids_T))][:limit]
    weights_T = tokens.weights_T[keep]
    weights_T[:1] = 0
    columns = {
        name: value[keep] if name.endswith("_T") else value
        for name, value in tokens.columns.items()
    }
    return replace(tokens, ids_T=tokens.ids_T[keep], weights_T=weights_T, columns=columns)
