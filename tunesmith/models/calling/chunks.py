"""How many rows of logits are in memory at once."""

from __future__ import annotations

import torch

CHUNK_BYTES = 64 * 2**20
"""On a CPU, where larger ones leave the cache."""
GPU_CHUNK_BYTES = 512 * 2**20
"""On a GPU, where a product of 128 rows is over before the next has been started: 64 MiB would be
500 of them for 16 k tokens of a vocabulary of 151 k. An estimate, not measured.
"""
GPU_SHARE = 1 / 32
"""Of a GPU's memory, at most: some four tensors of a chunk's size live at once."""
SMALLEST_CHUNK = 128
"""Rows below which the matrix product loses more than the memory is worth."""


def chunk_bytes(device: torch.device) -> int:
    """Returns how many bytes of fp32 logits one chunk has."""
    if device.type == "cpu":
        return CHUNK_BYTES
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        return min(GPU_CHUNK_BYTES, int(memory * GPU_SHARE))
    return GPU_CHUNK_BYTES


def chunks(rows: int, vocabulary: int, device: torch.device) -> list[slice]:
    """Slices of ``rows`` rows whose logits fit into a chunk."""
    size = max(SMALLEST_CHUNK, chunk_bytes(device) // (4 * vocabulary))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
