"""What a model's layers say of it: the longest row that it takes."""

from __future__ import annotations

import pytest
import torch

from tunesmith.models.structure.layers import longest_row


class Positioned(torch.nn.Module):
    """A model with a table of positions, whose padding may have one of them."""

    def __init__(self, rows: int, padding: int | None) -> None:
        super().__init__()
        self.position_embeddings = torch.nn.Embedding(rows, 4, padding_idx=padding)


@pytest.mark.parametrize(
    ("padding", "config", "longest"),
    [
        (None, {"max_position_embeddings": 512}, 512),
        (1, {"max_position_embeddings": 514}, 512),  # RoBERTa: positions 0 and 1 are not for tokens
        (None, {"n_positions": 1024}, 1024),
        (None, {"n_positions": 512, "relative_attention_num_buckets": 32}, None),  # T5
        (None, {}, None),
    ],
)
def test_the_longest_row(padding: int | None, config: dict[str, int], longest: int | None) -> None:
    assert longest_row(Positioned(16, padding), dict(config)) == longest
