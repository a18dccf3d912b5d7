"""Magnitude pruning: the smallest weights of each output become zero (Han et al. 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.pruning.pruners import PRUNERS, Pattern, Pruner
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from tunesmith.batches.batch import Tokens
    from tunesmith.errors import Problem
    from tunesmith.models.loading.load import Loaded


@PRUNERS.register
class Magnitude(Pruner):
    """The smallest weights of every output become zero. Needs no rows and loses far more than
    wanda.
    """

    class Config(Spec):
        """Smallest weights."""

        pattern: Pattern | None = None
        """2:4 leaves two of every four weights, which sparse kernels can skip."""

    def refused(self, model: Any, share: float) -> list[Problem]:
        """Refuses a pattern that does not fit."""
        from tunesmith.pruning.parts.zeros import refused_pattern

        return refused_pattern(model, share, self.config.pattern)

    def prune(self, loaded: Loaded, rows: list[Tokens], share: float) -> list[str]:
        """Sets weights to zero, layer by layer."""
        from tunesmith.export.rounding.layers import rounded_layers
        from tunesmith.pruning.parts.zeros import zero, zeros_told

        zeros = weights = 0
        for layer in rounded_layers(loaded.model).values():
            zeros += zero(layer, layer.weight.data.abs(), share, self.config.pattern)
            weights += layer.weight.numel()
        return [zeros_told(zeros, weights)]
