"""Wanda: weights become zero that matter little for what they are multiplied by (Sun et al.
2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Gt

from tunesmith.pruning.pruners import PRUNERS, Pattern, Pruner, refused_blocks
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch

    from tunesmith.batches.batch import Tokens
    from tunesmith.errors import Problem
    from tunesmith.models.loading.load import Loaded


@PRUNERS.register
class Wanda(Pruner):
    """Of every output the weights become zero whose size times that of their input, on training
    rows, is smallest.
    """

    class Config(Spec):
        """Weights by what they are multiplied by."""

        pattern: Pattern | None = None
        """2:4 leaves two of every four weights, which sparse kernels can skip."""
        tokens: Annotated[int, Gt(0)] = 16384
        """Tokens of training rows that are looked at, at most."""

    @property
    def tokens(self) -> int:
        """Tokens that are looked at."""
        return self.config.tokens

    def refused(self, model: Any, share: float) -> list[Problem]:
        """Refuses blocks that are not one list, and a pattern that does not fit."""
        from tunesmith.pruning.parts.zeros import refused_pattern

        return refused_blocks(model) or refused_pattern(model, share, self.config.pattern)

    def prune(self, loaded: Loaded, rows: list[Tokens], share: float) -> list[str]:
        """Sets weights to zero, block by block, each on what the blocks before it give by then."""
        from tunesmith.export.rounding.walk import walk
        from tunesmith.pruning.parts.zeros import zero, zeros_told

        counts: list[tuple[int, int]] = []

        def zero_one(name: str, layer: torch.nn.Linear, hessian_II: torch.Tensor) -> None:
            scores = scores_of(layer.weight.data, hessian_II)
            counts.append((zero(layer, scores, share, self.config.pattern), layer.weight.numel()))

        walk(loaded.model, [row.ids_T for row in rows], zero_one)
        zeros, weights = np.sum(counts, 0)
        return [zeros_told(int(zeros), int(weights))]


def scores_of(weight_OI: torch.Tensor, hessian_II: torch.Tensor) -> torch.Tensor:
    """Computes [O, I] the size of each weight times the norm of its input (eq. 1), up to a factor
    that all share.
    """
    return weight_OI.abs() * hessian_II.diagonal().sqrt()
