"""VeRA (Kopiczko et al. 2024, eq. 2): W + diag(b) B diag(d) A, with random A and B shared by all
layers; b and d are trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Lt

from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, targets_of, with_adapter
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch


@METHODS.register
class Vera(Method):
    """Two trained vectors a layer; a tenth of LoRA's weights or fewer."""

    learning_rate = 2e-2
    source = (
        "measured: the best of those tried on SmolLM2-135M and 300 questions "
        "(benchmarks/README.md); "
        "no published rate that was checked"
    )
    search = (4e-3, 5e-2)
    changes = frozenset({"linear"})

    class Config(Spec):
        """Settings of Vera."""

        rank: Annotated[int, Gt(0)] = 256
        """Rank of the shared random matrices; trained weights hardly grow with it."""
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of the adapter's inputs that is dropped in training."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the adapter on the model with peft; raises SpecError when a target matches nothing
        or does not fit.
        """
        from peft import VeraConfig

        config = self.config
        targets = targets_of(model, config.targets)
        return with_adapter(
            model,
            VeraConfig,
            target_modules=targets,
            r=config.rank,
            vera_dropout=config.dropout,
        )
