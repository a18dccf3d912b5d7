"""A loaded model as lm-eval asks one: log-likelihoods of continuations, and written answers. Texts
are cut into tokens as its own ``HFLM`` does it, without a chat template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

LONGEST = 256
"""Tokens of an answer where the task gives no ``max_gen_toks``; lm-eval's own number."""


def lm_of(loaded: Loaded, stop_ids: Sequence[int], progress: Callable[[int, int], None]) -> Any:
    """Makes the object that ``lm_eval.simple_evaluate`` takes as its model."""
    from lm_eval.api.model import LM

    class Ours(LM):
        """The model behind lm-eval's three questions."""

        def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
            """Returns the log-likelihood of each continuation. Whether it is the likeliest is not
            computed, and no task that needs it is asked.
            """
            pairs = [pair_of(loaded, *request.args) for request in requests]
            return [(value, False) for value in log_likelihoods(loaded, pairs, progress)]

        def loglikelihood_rolling(self, requests: Any) -> list[float]:
            """Refuses; no task of that kind is asked."""
            raise NotImplementedError

        def generate_until(self, requests: Any) -> list[str]:
            """Writes greedily, up to the first of the texts at which the task stops."""
            return written(loaded, [request.args for request in requests], stop_ids, progress)

    return Ours()


def pair_of(loaded: Loaded, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """Cuts a question and its continuation; spaces between them belong to the continuation."""
    bare = context.rstrip()
    continuation, context = context[len(bare) :] + continuation, bare
    encode = loaded.tokenizer.encode
    before = encode(context, add_special_tokens=False)
    whole = encode(context + continuation, add_special_tokens=False)
    start = before or [_first(loaded)]
    scored = whole[len(before) :] or whole[-1:]
    room = (loaded.limit or len(start) + len(scored)) - len(scored)
    return start[-max(room, 1) :], scored


def _first(loaded: Loaded) -> int:
    tokenizer: Any = loaded.tokenizer
    first = tokenizer.bos_token_id
    return int(tokenizer.eos_token_id if first is None else first)


def log_likelihoods(
    loaded: Loaded,
    pairs: Sequence[tuple[list[int], list[int]]],
    progress: Callable[[int, int], None],
) -> list[float]:
    """Computes log p(continuation | question) in nats; continuations of one question share it."""
    from tunesmith.predicting.likelihoods import likelihoods

    groups: dict[tuple[int, ...], list[int]] = {}
    for index, (start, _) in enumerate(pairs):
        groups.setdefault(tuple(start), []).append(index)
    rows = [[_tokens(*pairs[index]) for index in places] for places in groups.values()]
    values = [0.0] * len(pairs)
    sums_of_rows = likelihoods(loaded, rows, progress=progress)
    for places, sums in zip(groups.values(), sums_of_rows, strict=True):
        for index, sums_12 in zip(places, sums, strict=True):
            values[index] = -float(sums_12[0])
    return values


def _tokens(start: list[int], scored: list[int]) -> Tokens:
    weights = np.zeros(len(start) + len(scored), np.float32)
    weights[len(start) :] = 1
    return Tokens(np.array([*start, *scored], np.int32), weights)


def written(
    loaded: Loaded,
    asked: Sequence[tuple[str, Any]],
    stop_ids: Sequence[int],
    progress: Callable[[int, int], None],
) -> list[str]:
    """Writes the answers of a task."""
    from tunesmith.models.calling.generate import generate

    texts: list[str] = []
    for context, options in asked:
        settings = Generate(max_new_tokens=int(options.get("max_gen_toks", LONGEST)))
        ids = loaded.tokenizer.encode(context, add_special_tokens=False) or [_first(loaded)]
        room = (loaded.limit or len(ids) + settings.max_new_tokens) - settings.max_new_tokens
        prompt = np.array(ids[-max(room, 1) :], np.int32)
        (answer,) = generate(loaded.model, loaded.tokenizer, [prompt], settings, stop_ids=stop_ids)
        texts.append(cut(answer.text, options.get("until") or ()))
        progress(len(texts), len(asked))
    return texts


def cut(text: str, stops: str | Sequence[str]) -> str:
    """Returns the text up to the first of the stops."""
    ends = [text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop]
    return text[: min((end for end in ends if end >= 0), default=len(text))]
