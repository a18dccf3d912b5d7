"""LoKr (Edalati et al. 2022, KronA; Yeh et al. 2024, LyCORIS): W + (alpha / rank) C ⊗ (B A), a
Kronecker product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt

from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, targets_of, with_adapter
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch


@METHODS.register
class Lokr(Method):
    """A small matrix and a low-rank one whose Kronecker product is the change."""

    learning_rate = 3e-3
    source = "no published rate that was checked; above LoRA's, as one of its factors starts at 0"
    search = (3e-4, 1e-2)
    bases = frozenset(
        {"plain", "int8"}
    )  # peft gives the change the shape of the weight, which is packed in nf4
    changes = frozenset({"linear"})

    class Config(Spec):
        """Settings of Lokr."""

        rank: Annotated[int, Gt(0)] = 8
        """Rank of the second factor; where that would not make it smaller it is a full matrix."""
        alpha: Annotated[int, Gt(0)] = 8
        """Scale of the change is alpha / rank."""
        factor: Annotated[int, Ge(2)] | None = None
        """Side of the first factor; near the root of the layer's side when not given."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the adapter on the model with peft; raises SpecError when a target matches nothing
        or does not fit.
        """
        from peft import LoKrConfig

        config = self.config
        targets = targets_of(model, config.targets, rank=config.rank)
        return with_adapter(
            model,
            LoKrConfig,
            target_modules=targets,
            r=config.rank,
            alpha=config.alpha,
            decompose_factor=config.factor or -1,
        )
