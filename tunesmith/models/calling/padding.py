"""Prompts as rows of one length, for a model that goes on from their ends."""

from __future__ import annotations

import numpy as np
import torch


def left_padded(
    rows: list[np.ndarray], common: int, pad_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pads rows on the left and returns ids and mask; the padding is between the shared beginning,
    whose keys are cached, and a row's own part.
    """
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        begin = longest - (len(row) - common)
        for part, start in ((row[:common], 0), (row[common:], begin)):
            ids[index, start : start + len(part)] = torch.from_numpy(
                np.asarray(part, dtype=np.int64)
            )
            mask[index, start : start + len(part)] = 1
    return ids, mask
