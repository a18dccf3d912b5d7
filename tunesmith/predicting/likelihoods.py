"""What a model finds likely: log-likelihoods of given sequences, shared beginnings computed
once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.cuts import cut
from tunesmith.data.rendering.sides import continued

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

__all__ = ["continued", "likeliest", "likelihoods"]

BUDGET = 4096
"""Tokens of one forward."""

Progress = Callable[[int, int], None]


def likelihoods(
    loaded: Loaded,
    examples: Sequence[Sequence[Tokens]],
    *,
    budget: int = BUDGET,
    progress: Progress | None = None,
) -> list[np.ndarray]:
    """For each example [sequences, 2]: weighted negative log-likelihood of the scored tokens
    (nats), and their weight.
    """
    import torch

    from tunesmith.models.calling.views import see

    found: dict[int, np.ndarray] = {}
    loaded.model.eval()
    for part in cut(examples, budget, padded=loaded.layout == "padded"):
        batch = loaded.lay(Batch.grow([examples[index] for index in part]))
        with torch.no_grad():
            weights_N = batch.weights_N.double()
            terms_N2 = torch.stack(
                [-weights_N * see(loaded.model, batch).logprobs_N.double(), weights_N], dim=1
            )
            sums_B2 = torch.zeros(len(batch.ends_B), 2, dtype=torch.float64, device=terms_N2.device)
            rows = sums_B2.index_add_(0, batch.owner_N, terms_N2).cpu().numpy()
        ends = np.cumsum([len(examples[index]) for index in part])
        found |= dict(zip(part, np.split(rows, ends[:-1]), strict=True))
        if progress:
            progress(len(found), len(examples))
    return [found[index] for index in range(len(examples))]


def likeliest(nll_of_options: np.ndarray, options: Sequence[str]) -> str:
    """The option of the highest summed log-probability over its tokens, the stop token among them.

    The sum is the probability that the model answers exactly this and stops; an average would
    favour long options.
    """
    return options[int(np.argmin(nll_of_options))]
