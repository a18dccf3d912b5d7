"""How much each token of an answer counts: the weight of its turn, and of the parts of it that have
one of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunesmith.data.rendering.control import spans
from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Turn
from tunesmith.words import say


def token_weights(
    turn: Turn, text: str, count: int, places: Callable[[str], Sequence[tuple[int, int]]]
) -> list[float]:
    """Returns the weights of the ``count`` ids of ``text``, the rendered answer of ``turn``; the
    stop token has the turn's weight.

    ``places`` says which characters each id stands for. An id belongs to the part in which its last
    character lies.
    """
    weights = [turn.weight] * count
    if not turn.spans:
        return weights
    # The content is the last of an answer: thinking stands before it, and what ends it is no word.
    begin = text.rfind(turn.content)
    if begin < 0:
        raise DataError(Problem("train_detail", say("reader.span_lost")))
    for n, (_, stop) in enumerate(places(text)[:count]):
        for start, end, weight in turn.spans:
            if begin + start < stop <= begin + end:
                weights[n] = turn.weight * weight
    return weights


def ids_of(
    tokenizer: Tokenizer, text: str, *, side: str = "text", plain: bool = False
) -> list[int]:
    """Returns the ids of ``text`` without the tokenizer's own additions; ``plain`` reads no control
    token in it. ``side`` tells questions from answers, which some tokenizers split differently
    (Marian).
    """
    how = {"split_special_tokens": True} if plain else {}
    told = tokenizer(**{side: text}, add_special_tokens=False, verbose=False, **how)
    return list(told["input_ids"]) if text else []


def places_of(
    tokenizer: Tokenizer, text: str, *, side: str = "text", before: str = ""
) -> list[tuple[int, int]]:
    """Returns the span of characters in ``text`` of each id, where ``before`` precedes the text."""
    if not tokenizer.is_fast:
        raise DataError(
            Problem("train_detail", say("reader.span_needs_fast", kind=type(tokenizer).__name__))
        )
    places, begin, skip = [], 0, len(before)
    for part, plain in spans(tokenizer, text):
        how = {"split_special_tokens": True} if plain else {}
        found = tokenizer(
            **{side: before + part},
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
            **how,
        )
        places += [
            (begin + start - skip, begin + stop - skip)
            for start, stop in found["offset_mapping"]
            if stop > skip
        ]
        begin += len(part)
    return places
