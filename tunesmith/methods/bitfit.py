"""BitFit (Ben Zaken et al. 2022): only the biases are trained, and the norms, which models without
biases have in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tunesmith.errors import Problem, SpecError
from tunesmith.methods import METHODS, Method
from tunesmith.models.structure.layers import norm_layers
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import torch


@METHODS.register
class Bitfit(Method):
    """Biases and layer norms; saved as a whole model."""

    learning_rate = 1e-3
    source = (
        "no published rate that was checked; far above that of full, as so few weights are trained"
    )
    search = (1e-4, 1e-2)
    changes = frozenset({"norm", "bias"})
    merges = False
    rewrites_base = True
    adapter = False
    full_precision = True
    bases = frozenset({"plain"})

    class Config(Spec):
        """Biases and norms."""

        parts: Literal["biases_and_norms", "biases", "norms"] = "biases_and_norms"
        """What is trained; Llama and its like have no biases."""

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Turns the model to fp32 and gives these weights gradient; raises SpecError when it has
        none of them.
        """
        from tunesmith.models.structure.heads import train_head

        norms = (
            tuple(f"{name}." for name in norm_layers(model)) if "norms" in self.config.parts else ()
        )
        biases = "biases" in self.config.parts
        chosen = [
            weight
            for name, weight in model.named_parameters()
            if (norms and name.startswith(norms)) or (biases and name.endswith("bias"))
        ]
        if not chosen:
            raise SpecError(
                Problem("method.parts", say("method.has_none", parts=self.config.parts))
            )
        model.float().requires_grad_(False)
        for weight in chosen:
            weight.requires_grad_(True)
        train_head(model)
        return model
