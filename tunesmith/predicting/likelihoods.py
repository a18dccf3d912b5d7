"""What a model finds likely: log-likelihoods of given sequences, shared beginnings computed
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.rendering.encoder_decoder import continued
from tunesmith.models.calling.forwards import BUDGET, Progress, forwards

if TYPE_CHECKING:
    from tunesmith.models.calling.views import Seen
    from tunesmith.models.loading.load import Loaded

__all__ = ["continued", "likeliest", "likelihoods"]


def likelihoods(
    loaded: Loaded,
    examples: Sequence[Sequence[Tokens]],
    *,
    budget: int = BUDGET,
    progress: Progress | None = None,
) -> list[np.ndarray]:
    """Computes for each example [sequences, 2]: weighted negative log-likelihood of the scored
    tokens (nats), and their weight.
    """
    import torch

    def look(seen: Seen) -> list[np.ndarray]:
        batch = seen.batch
        weights_N = batch.weights_N.double()
        terms_N2 = torch.stack([-weights_N * seen.logprobs_N.double(), weights_N], dim=1)
        sums_B2 = torch.zeros(len(batch.ends_B), 2, dtype=torch.float64, device=terms_N2.device)
        rows = sums_B2.index_add_(0, batch.owner_N, terms_N2).cpu().numpy()
        return np.split(rows, np.cumsum([len(example) for example in batch.sequences])[:-1])

    return forwards(loaded, examples, look, budget=budget, progress=progress)


def likeliest(nll_of_options: np.ndarray, options: Sequence[str]) -> str:
    """Returns the option with the highest summed log-probability over its tokens, including the
    stop token.

    The sum is the probability that the model answers exactly this and stops; an average would
    favour long options.
    """
    return options[int(np.argmin(nll_of_options))]
