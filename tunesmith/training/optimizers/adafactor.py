"""Adam with the second moment factored into rows and columns (Shazeer & Stern 2018, algorithm
4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.settings.spec import Spec
from tunesmith.training.optimizers import OPTIMIZERS, Named, Optimizer, groups

if TYPE_CHECKING:
    import torch


@OPTIMIZERS.register
class Adafactor(Optimizer):
    """Adafactor with the given learning rate; its state is the size of rows plus columns."""

    state_bytes = 1.0
    divides = False
    rate_factor = 100.0
    """torch multiplies the rate by the root mean square of the weights, about 0.02, and for those
    that begin at 0 less.
    """

    class Config(Spec):
        """Clipping of each tensor's update."""

        threshold: Annotated[float, Gt(0)] = 1.0
        """Largest root mean square of one tensor's update before the learning rate."""

    def build(
        self, named: Named, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Builds torch's Adafactor."""
        import torch

        return torch.optim.Adafactor(
            groups(named, weight_decay), lr=learning_rate, d=self.config.threshold
        )
