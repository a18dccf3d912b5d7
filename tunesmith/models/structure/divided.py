"""Tensors that are divided over the processes of a run: torch's ``DTensor`` looks like the whole
tensor, and each process holds its part. Nothing else knows how they are divided.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

import torch

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_divided(tensor: object) -> TypeGuard[DTensor]:
    """Tells whether each process holds a part of it."""
    # Where nothing is divided, the module is not loaded: it costs 0.9 s of a plan.
    loaded = sys.modules.get("torch.distributed.tensor")
    return loaded is not None and isinstance(tensor, loaded.DTensor)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Returns the whole of a tensor that may be divided; every process enters it, in one order."""
    return tensor.full_tensor() if is_divided(tensor) else tensor


def own_part(tensor: torch.Tensor) -> torch.Tensor:
    """Returns what this process holds of a tensor that may be divided."""
    return tensor.to_local() if is_divided(tensor) else tensor


def whole_on_first(tensor: torch.Tensor, *, first: bool) -> torch.Tensor:
    """Returns the whole of a divided tensor in the host's memory of the first process, and nothing
    of it (no values) in the others; any other tensor as it is. Every process enters it.
    """
    if not is_divided(tensor):
        return tensor
    joined = tensor.full_tensor()
    return joined.cpu() if first else joined.new_empty(0)


def divided_like(value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Returns this process's part of a whole ``value``, where ``weight``, of the same shape, is
    divided; ``value`` as it is where not, or where it is divided already. No process waits for
    another.
    """
    if not is_divided(weight) or is_divided(value) or value.shape != weight.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    there = value.to(weight.device)
    return distribute_tensor(there, weight.device_mesh, weight.placements, src_data_rank=None)


def norm_of(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Computes the norm of all gradients together, divided ones and others; every process enters
    it.
    """
    norms = [whole(torch.linalg.vector_norm(gradient)) for gradient in gradients]
    return torch.linalg.vector_norm(torch.stack([norm.float() for norm in norms]))


def scale(gradients: Sequence[torch.Tensor], factor: float) -> None:
    """Multiplies each gradient, in place; torch takes divided and plain ones in lists apart."""
    for divided in (True, False):
        alike = [gradient for gradient in gradients if is_divided(gradient) == divided]
        if alike:
            torch._foreach_mul_([own_part(gradient) for gradient in alike], factor)
