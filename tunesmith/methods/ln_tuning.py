"""LN tuning (Zhao et al. 2023, section 3): only the layer norms are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, matched_layers, shortest_names, with_adapter
from tunesmith.models.structure.layers import norm_layers
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch


@METHODS.register
class LnTuning(Method):
    """The layer norms, saved as an adapter."""

    learning_rate = 1e-3
    source = "no published rate that was checked; that of bitfit, for weights of the same kind"
    search = (1e-4, 1e-2)
    changes = frozenset({"norm"})
    full_precision = True
    bases = frozenset({"plain"})

    class Config(Spec):
        """Layer norms."""

        targets: Targets = ("all-norm",)
        """Norms to train: ``all-norm``, ends of names (input_layernorm), or regular expressions
        over whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts a trained copy of each norm on the model with peft; raises SpecError when a target
        matches nothing.
        """
        from peft import LNTuningConfig

        names = matched_layers(model, self.config.targets, norm_layers(model), kind="norm")
        # A norm in fp32 gives fp32, which a frozen layer in bf16 does not take.
        targets = shortest_names(model, names)
        return with_adapter(model.float(), LNTuningConfig, target_modules=targets)
