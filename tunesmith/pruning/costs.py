"""What a model costs before and after: weights, cache, the time of an answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.plain import JsonObject
from tunesmith.settings.run import Generate

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

TIMED = 10
"""Prompts that are answered by both models in turn."""
TIMED_TOKENS = 32
"""Length of such an answer; no stop ends it earlier."""


@dataclass(frozen=True)
class Size:
    """How much of a model there is."""

    weights: int
    zeros: int
    """Weights that are zero, of matrices alone."""
    file: int
    """Bytes of the weights' files."""
    cache: int
    """Bytes that the cache keeps of a token, in fp32."""


@dataclass(frozen=True)
class Times:
    """Seconds that an answer of TIMED_TOKENS takes, the medians over the prompts, and how many
    times as fast the second model is, with a 95 % interval over the prompts.
    """

    before: float
    after: float
    faster: float
    low: float
    high: float

    def to_json(self) -> JsonObject:
        """Returns the fields as they are."""
        return asdict(self)


def size_of(loaded: Loaded, file: int, prompt: np.ndarray) -> Size:
    """Counts weights and zeros, and measures the cache on a prompt."""
    import torch

    model = loaded.model
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    zeros = sum(int((matrix == 0).sum()) for matrix in matrices)
    with torch.no_grad():
        ids = torch.as_tensor(prompt, dtype=torch.long)[None]
        kept = model(input_ids=ids, use_cache=True).past_key_values
    cache = sum(layer.keys.nbytes + layer.values.nbytes for layer in kept.layers)
    weights = sum(weight.numel() for weight in model.parameters())
    return Size(weights, zeros, file, round(cache / len(prompt)))


def times_of(before: Loaded, after: Loaded, prompts: Sequence[np.ndarray]) -> Times:
    """Lets both models answer the same prompts in turn, so that what else the machine does slows
    both.
    """
    from scipy import stats

    chosen = prompts[:TIMED]
    for loaded in (before, after):
        _seconds(loaded, chosen[0])  # the first call of all also makes things ready
    seconds_P2 = np.array(
        [[_seconds(loaded, prompt) for loaded in (before, after)] for prompt in chosen]
    )
    logs_P = np.log(seconds_P2[:, 0] / seconds_P2[:, 1])
    bounds = stats.ttest_1samp(logs_P, 0).confidence_interval(0.95)
    first, second = np.median(seconds_P2, 0)
    faster = (float(np.exp(log_time)) for log_time in (logs_P.mean(), bounds.low, bounds.high))
    return Times(float(first), float(second), *faster)


def _seconds(loaded: Loaded, prompt: np.ndarray) -> float:
    from tunesmith.models.calling.generate import generate

    asked = Generate(max_new_tokens=TIMED_TOKENS)
    start = time.perf_counter()
    generate(loaded.model, loaded.tokenizer, [prompt], asked, stop_ids=())
    return time.perf_counter() - start
