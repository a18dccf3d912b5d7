"""Stochastic gradient descent with momentum (Sutskever et al. 2013)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from tunesmith.settings.spec import Spec
from tunesmith.training.optimizers import OPTIMIZERS, Named, Optimizer, groups

if TYPE_CHECKING:
    import torch


@OPTIMIZERS.register
class Sgd(Optimizer):
    """SGD; with momentum one extra copy of the trainable weights, without it none."""

    state_bytes = 4.0
    by_parts = True
    rate_factor = 100.0
    """Its update is the gradient itself, whose numbers are small, where AdamW's are about 1 each.
    """

    class Config(Spec):
        """Momentum."""

        momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
        """Share of the last update that is kept; 0 is plain SGD."""

    def build(
        self, named: Named, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Builds torch's SGD."""
        import torch

        return torch.optim.SGD(
            groups(named, weight_decay), lr=learning_rate, momentum=self.config.momentum
        )
