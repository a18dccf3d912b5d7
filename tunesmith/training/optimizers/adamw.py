"""Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), torch's fused
kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Lt

from tunesmith.settings.spec import Spec
from tunesmith.training.optimizers import OPTIMIZERS, Named, Optimizer, groups

if TYPE_CHECKING:
    import torch


@OPTIMIZERS.register
class AdamW(Optimizer):
    """AdamW, fused where the device has the kernel."""

    by_parts = True

    class Config(Spec):
        """Moments."""

        beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
        """Decay of the first moment per update."""
        beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
        """Decay of the second moment per update."""
        epsilon: Annotated[float, Gt(0)] = 1e-8
        """Added to the root of the second moment."""

    def build(
        self, named: Named, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Builds torch's AdamW."""
        import torch

        config = self.config
        fused = all(parameter.device.type in ("cpu", "cuda") for _, parameter in named)
        return torch.optim.AdamW(
            groups(named, weight_decay),
            lr=learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            fused=fused,
        )
