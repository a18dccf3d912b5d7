"""Orthogonalised momentum for matrices (Jordan et al. 2024), AdamW for embeddings, heads and
vectors.

The update is scaled to AdamW's size (Liu et al. 2025, Moonlight, eq. 4), so that its learning rates
carry over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Lt

from tunesmith.settings.spec import Spec
from tunesmith.training.optimizers import OPTIMIZERS, Named, Optimizer

if TYPE_CHECKING:
    import torch

# Rows of these are looked up or are classes; an orthogonal update has no meaning there.
NOT_MATRICES = ("embed", "wte", "wpe", "lm_head", "embed_out")


@OPTIMIZERS.register
class Muon(Optimizer):
    """Muon for 2-D weights, AdamW for the rest, in one optimizer."""

    state_bytes = 4.0
    rate_factor = 5.0
    """Its update has a root mean square of 0.2, where AdamW's in a short run is nearer to 1."""

    class Config(Spec):
        """Momentum and orthogonalisation."""

        momentum: Annotated[float, Ge(0), Lt(1)] = 0.95
        """Nesterov momentum of the matrices."""
        iterations: Annotated[int, Gt(0)] = 5
        """Newton-Schulz iterations."""

    def build(
        self, named: Named, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Builds an optimizer whose first group is orthogonalised."""
        from tunesmith.training.optimizers._orthogonal import Orthogonal

        matrices = [parameter for name, parameter in named if _is_matrix(name, parameter)]
        others = [(name, parameter) for name, parameter in named if not _is_matrix(name, parameter)]
        parameter_groups = [
            {"params": matrices, "orthogonal": True, "weight_decay": weight_decay},
            {
                "params": [p for _, p in others if p.ndim >= 2],
                "orthogonal": False,
                "weight_decay": weight_decay,
            },
            {
                "params": [p for _, p in others if p.ndim < 2],
                "orthogonal": False,
                "weight_decay": 0.0,
            },
        ]
        config = self.config
        kept = [group for group in parameter_groups if group["params"]]
        return Orthogonal(
            kept,
            learning_rate=learning_rate,
            momentum=config.momentum,
            iterations=config.iterations,
        )


def _is_matrix(name: str, parameter: torch.nn.Parameter) -> bool:
    return parameter.ndim == 2 and not any(part in name for part in NOT_MATRICES)
