"""Weights that pruning set to zero, which stay zero while the others are trained."""

from __future__ import annotations

import torch

from tunesmith.models.structure.divided import own_part
from tunesmith.models.structure.layers import linear_layers

PRUNED = 0.1
"""The share of a layer's weights that is exactly zero from which it counts as pruned: training or
rounding leaves next to none.
"""


class KeptZeros:
    """The zeros of the pruned linear layers of a model; a layer of nothing but zeros is not pruned
    but new.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.places: list[tuple[torch.Tensor, torch.Tensor]] = []
        """Of each pruned layer what this process holds of its weight, and where that is zero."""
        for layer in linear_layers(model).values():
            weight = dict(layer.named_parameters(recurse=False)).get("weight")
            if weight is None or not weight.requires_grad:
                continue
            part_OI = own_part(weight.detach())
            share = 1 - int(part_OI.count_nonzero()) / max(1, part_OI.numel())
            if PRUNED <= share < 1:
                self.places.append((weight, part_OI == 0))

    def restore(self) -> None:
        """Sets them to zero again, after a step has moved them."""
        for weight, zeros_OI in self.places:
            own_part(weight.detach()).masked_fill_(zeros_OI, 0)
