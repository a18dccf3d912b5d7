"""AdamW whose two moments are kept in 8 bits, rounded in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.training.optimizers import OPTIMIZERS, Named, Optimizer
from tunesmith.training.optimizers._eight_bit import STATE_BYTES, Moments, build

if TYPE_CHECKING:
    import torch


@OPTIMIZERS.register
class AdamW8bit(Optimizer):
    """AdamW with moments of 8 bits: a quarter of the state, slower on a CPU."""

    Config = Moments  # type: ignore[assignment]
    state_bytes = STATE_BYTES
    eight_bit = True
    divides = False

    def build(
        self, named: Named, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Builds bitsandbytes' AdamW8bit."""
        return build(self.config, named, (learning_rate, weight_decay), paged=False)
