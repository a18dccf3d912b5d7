"""How long a model lets a person wait, one question at a time, as the run loads it: an adapter is
not merged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.plain import JsonObject
from tunesmith.proving.task import evenly
from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

ASKED, TOKENS = 5, 8
"""Questions, and tokens of each answer beyond the first."""


def writing_speed(
    loaded: Loaded, prompts: Sequence[np.ndarray], settings: Generate
) -> JsonObject | None:
    """Measures the seconds to the ``first_token`` and for each ``next_token`` of an answer, the
    medians over a few prompts; None where no answer has room for more than one token.
    """
    from tunesmith.models.calling.generate import generate

    def seconds(prompt: np.ndarray, tokens: int) -> tuple[float, int]:
        # Without a stop every answer is as long as it may be.
        greedy = {"max_new_tokens": tokens, "temperature": 0.0, "samples": 1, "stop": ()}
        asked = settings.model_copy(update=greedy)
        start = time.perf_counter()
        answers = generate(loaded.model, loaded.tokenizer, [prompt], asked, stop_ids=())
        _finished(loaded)
        return time.perf_counter() - start, len(answers[0].ids)

    chosen = evenly(prompts, ASKED)
    seconds(chosen[0], 2)  # the first call of all also makes things ready
    firsts, nexts = [], []
    for prompt in chosen:
        first, _ = seconds(prompt, 1)
        whole, count = seconds(prompt, 1 + TOKENS)
        firsts.append(first)
        if count > 1:
            nexts.append((whole - first) / (count - 1))
    if not nexts:
        return None
    return {"first_token": median(firsts), "next_token": max(median(nexts), 0.0)}


def reading_speed(
    loaded: Loaded, rows: Sequence[Tokens], read: Callable[[Sequence[Tokens]], object]
) -> JsonObject | None:
    """Measures the seconds that ``read`` takes for one row, the median over a few."""
    chosen = evenly(rows, ASKED)
    read(chosen[:1])
    taken = []
    for row in chosen:
        start = time.perf_counter()
        read([row])
        _finished(loaded)
        taken.append(time.perf_counter() - start)
    return {"row": median(taken)}


def _finished(loaded: Loaded) -> None:
    """Waits for a GPU, which goes on while Python does."""
    import torch

    if next(loaded.model.parameters()).device.type == "cuda":
        torch.cuda.synchronize()
