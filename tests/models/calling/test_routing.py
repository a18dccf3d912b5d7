"""Means of what routers say, over the tokens of each sequence of a forest."""

from __future__ import annotations

import numpy as np
import torch

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.batches.forest import SHORTEST_SHARED
from tunesmith.models.calling.routing import means_over_sequences


def test_a_shared_token_counts_for_each_of_its_sequences() -> None:
    beginning = [*range(1, SHORTEST_SHARED + 1)]
    sequences = [[*beginning, 30, 40], [*beginning, 50], [6, 7]]
    tokens = [Tokens(np.array(ids, np.int32), np.ones(len(ids), np.float32)) for ids in sequences]
    batch = Batch.grow([[one] for one in tokens], share=True)
    assert len(batch.ids_T) < sum(map(len, sequences)), "the beginning is computed once"
    means = means_over_sequences(batch) @ batch.ids_T.float()
    expected = [sum(ids) / len(ids) for ids in sequences]
    assert torch.allclose(means.sort().values, torch.tensor(sorted(expected)))
