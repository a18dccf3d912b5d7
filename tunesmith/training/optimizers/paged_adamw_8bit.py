"""8-bit AdamW whose moments lie in paged memory (Dettmers et al. 2023, QLoRA, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.training.optimizers import OPTIMIZERS, Named, Optimizer
from tunesmith.training.optimizers._eight_bit import STATE_BYTES, Moments, build

if TYPE_CHECKING:
    import torch


@OPTIMIZERS.register
class PagedAdamW8bit(Optimizer):
    """AdamW with moments of 8 bits that move to main memory when the GPU's is full; on a CPU plain
    adamw_8bit.
    """

    Config = Moments  # type: ignore[assignment]
    state_bytes = STATE_BYTES
    eight_bit = True
    divides = False

    def build(
        self, named: Named, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Builds bitsandbytes' PagedAdamW8bit."""
        return build(self.config, named, (learning_rate, weight_decay), paged=True)
