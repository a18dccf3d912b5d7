"""LoHa (Hyeon-Woo et al. 2022, FedPara, proposition 1): W + (alpha / rank) (B₁A₁ ⊙ B₂A₂), whose
rank is up to rank².
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, targets_of, with_adapter
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch


@METHODS.register
class Loha(Method):
    """Two low-rank changes, multiplied elementwise, for a higher rank from as few weights."""

    learning_rate = 6e-3
    source = (
        "measured: the best of those tried on SmolLM2-135M and 300 questions "
        "(benchmarks/README.md); "
        "no published rate that was checked"
    )
    search = (1e-3, 2e-2)
    bases = frozenset(
        {"plain", "int8"}
    )  # peft gives the change the shape of the weight, which is packed in nf4
    changes = frozenset({"linear"})

    class Config(Spec):
        """Settings of Loha."""

        rank: Annotated[int, Gt(0)] = 8
        """Rank of each of the two changes; that of their product is up to its square."""
        alpha: Annotated[int, Gt(0)] = 8
        """Scale of the change is alpha / rank."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the adapter on the model with peft; raises SpecError when a target matches nothing
        or does not fit.
        """
        from peft import LoHaConfig

        config = self.config
        targets = targets_of(model, config.targets, rank=config.rank)
        return with_adapter(
            model,
            LoHaConfig,
            target_modules=targets,
            r=config.rank,
            alpha=config.alpha,
        )
