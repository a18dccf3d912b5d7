"""The vectors that a model of embeddings gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.cuts import cut
from tunesmith.models.loading.load import Loaded
from tunesmith.predicting.likelihoods import BUDGET


def vectors_of(
    loaded: Loaded,
    objective: Any,
    sequences: Sequence[Tokens],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """A vector for each sequence, [n, D], pooled as the objective says."""
    import torch

    from tunesmith.models.calling.views import see

    examples = [(tokens,) for tokens in sequences]
    found: dict[int, np.ndarray] = {}
    loaded.model.eval()
    for part in cut(examples, BUDGET, padded=loaded.layout == "padded"):
        batch = loaded.lay(Batch.grow([examples[index] for index in part], unit="sequence"))
        with torch.no_grad():
            rows = objective.pooled(see(loaded.model, batch)).cpu().numpy()
        found |= dict(zip(part, rows, strict=True))
        if progress:
            progress(len(found), len(examples))
    return np.stack([found[index] for index in range(len(examples))])
