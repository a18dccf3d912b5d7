"""NEFTune (Jain et al. 2023, algorithm 1): uniform noise of ±alpha / √(L·d) on the embedded tokens,
while training.

L is the length of a token's sequence and d the width. A token that sequences share is embedded
once, and so draws once, with the L of the longest of them. Of an encoder–decoder it is the source,
what is asked, that is made noisy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tunesmith.batches.batch import Batch


@contextmanager
def noisy(model: Any, batch: Batch, alpha: float) -> Iterator[None]:
    """Adds noise to the embedded tokens of the next call of ``model``, over ``batch``; none for an
    alpha of 0.
    """
    if not alpha:
        yield
        return
    lengths_RT = lengths_of(batch)
    calls: list[int] = []

    def add(_: torch.nn.Module, __: object, embedded_RTD: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 1:  # a decoder that shares the encoder's embedding
            return embedded_RTD
        assert embedded_RTD.shape[:2] == lengths_RT.shape, (
            "the tokens are embedded in the layout of the batch"
        )
        size_RT = torch.where(
            lengths_RT > 0, alpha / (lengths_RT.clamp(min=1) * embedded_RTD.shape[-1]).sqrt(), 0.0
        )
        noise_RTD = torch.empty_like(embedded_RTD).uniform_(-1, 1)
        return embedded_RTD + noise_RTD * size_RT.unsqueeze(-1).to(noise_RTD.dtype)

    reader = model.get_encoder() if batch.source_ids_BS is not None else model
    handle = reader.get_input_embeddings().register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def lengths_of(batch: Batch) -> torch.Tensor:
    """Returns for each embedded token how long its sequence is; 0 for padding."""
    if batch.source_mask_BS is not None:
        return batch.source_mask_BS * batch.source_mask_BS.sum(1, keepdim=True)
    index_M, owner_M = batch.members()
    own_M = torch.bincount(owner_M).index_select(0, owner_M)
    return (
        torch.zeros_like(batch.ids_T)
        .scatter_reduce(0, index_M, own_M, "amax")
        .view_as(batch.input_ids)
    )
