"""BOFT (Liu et al. 2024, section 4): a rotation of each layer's inputs, made dense from few weights
by butterfly factors.

As in its authors' code in peft, the outputs are scaled too. peft's own needs a compiled extension
for more than one factor, and without it silently takes one; ours is plain torch, and saved in our
own format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt, MultipleOf

from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, matched_layers, targets_of
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from pathlib import Path

    import torch


@METHODS.register
class Boft(Method):
    """A rotation of each layer's inputs in which, unlike in oft, blocks reach into each other."""

    learning_rate = 4e-4
    source = "no published rate that was checked; that of oft, whose angles it has"
    search = (5e-5, 2e-3)
    changes = frozenset({"linear"})

    class Config(Spec):
        """Butterfly factors."""

        block: Annotated[int, Gt(1), MultipleOf(2)] = 8
        """Side of the rotated blocks; an even number."""
        factors: Annotated[int, Gt(0)] = 2
        """How many such rotations follow each other, each with blocks that reach twice as far; 1 is
        oft with scaled outputs. block · 2^(factors − 1) must divide the inputs of every target."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Adds the rotations to the model; raises SpecError when a target matches nothing or does
        not fit.
        """
        from tunesmith.models.adapters import beside_base
        from tunesmith.models.adapters.layers.butterfly import Butterfly
        from tunesmith.models.structure.layers import sizes

        config: Any = self.config
        targets_of(model, config.targets, divisor=config.block * 2 ** (config.factors - 1))
        device = next(model.parameters()).device
        for name in sorted(matched_layers(model, config.targets)):
            layer = model.get_submodule(name)
            inputs, outputs = sizes(layer) or (0, 0)
            Butterfly(
                inputs, outputs, block=config.block, factors=config.factors, device=device
            ).beside(layer)
        return beside_base.switchable(model)

    def save(self, model: torch.nn.Module, folder: Path) -> None:
        """Saves the settings and the angles; ``tunesmith.attach`` puts them beside the base
        again.
        """
        from tunesmith.models.adapters import beside_base

        beside_base.save(model, self.config, folder)
