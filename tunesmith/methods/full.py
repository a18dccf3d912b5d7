"""Full fine-tuning: every weight of the model is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.methods import METHODS, Method

if TYPE_CHECKING:
    import torch


@METHODS.register
class Full(Method):
    """All weights; needs 16 bytes of memory for each in fp32 with AdamW."""

    learning_rate = 2e-5
    source = "Touvron et al. 2023 (Llama 2), section 3.1: 2e-5 for supervised fine-tuning"
    search = (2e-6, 1e-4)
    merges = False
    rewrites_base = True
    adapter = False
    full_precision = True
    bases = frozenset({"plain"})
    by_parts = True
    new_tokens = True

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Turns all weights to fp32, all with gradient."""
        # AdamW's small steps vanish in bf16's 8 bits of mantissa, so the weights it moves are fp32.
        return model.float().requires_grad_(True)
