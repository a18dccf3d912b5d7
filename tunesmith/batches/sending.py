"""Tensors that go to the device together: each copy of its own would be a call, and a wait where
the memory is not pinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ALIGNED = 16
"""Bytes at whose multiples each tensor begins, so that any type can be read there."""


def sent_together(tensors: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
    """Moves the tensors to ``device``; those on the CPU go to another device in one piece, without
    waiting.
    """
    import torch

    if device.type == "cpu" or any(tensor.device.type != "cpu" for tensor in tensors):
        return [tensor.to(device) for tensor in tensors]
    sizes = [-(-tensor.nbytes // ALIGNED) * ALIGNED for tensor in tensors]
    pinned = device.type == "cuda"
    whole = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=pinned)
    for tensor, room in zip(tensors, whole.split(sizes), strict=True):
        room[: tensor.nbytes].view(tensor.dtype).copy_(tensor.flatten())
    parts = whole.to(device, non_blocking=True).split(sizes)
    return [
        part[: tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for tensor, part in zip(tensors, parts, strict=True)
    ]
