"""OFT (Qiu et al. 2023, section 3.2): W R, with R orthogonal in blocks by the Cayley transform of
skew-symmetric ones.
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
class Oft(Method):
    """A rotation of each layer's inputs; angles between neurons stay as they were."""

    learning_rate = 4e-4
    source = (
        "no published rate that was checked; twice that of LoRA, as a rotation moves a weight by "
        "its own size times a small angle"
    )
    search = (5e-5, 2e-3)
    changes = frozenset({"linear"})

    class Config(Spec):
        """Settings of Oft."""

        block: Annotated[int, Gt(1)] = 32
        """Side of the rotated blocks; it must divide the inputs of every target."""
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
        """Share of the blocks that is left unrotated in training."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the adapter on the model with peft; raises SpecError when a target matches nothing
        or does not fit.
        """
        from peft import OFTConfig

        config = self.config
        targets = targets_of(model, config.targets, divisor=config.block)
        return with_adapter(
            model,
            OFTConfig,
            target_modules=targets,
            oft_block_size=config.block,
            module_dropout=config.dropout,
        )
