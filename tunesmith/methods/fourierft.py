"""FourierFT (Gao et al. 2024, eq. 2–4): W + scale · Re(F⁻¹(S)); S has a few frequencies, drawn
once, whose coefficients train.

The paper draws the coefficients at random; here they start at 0, so that step 0 is the base: the
change is linear in them, and their gradient does not depend on where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.methods import METHODS, Method
from tunesmith.methods._peft import Targets, targets_of, with_adapter
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch


@METHODS.register
class Fourierft(Method):
    """A few coefficients of the change's Fourier transform; the smallest adapters of all."""

    learning_rate = 3e-2
    source = (
        "no published rate that was checked; at a LoRA's 1e-4 it learned nothing in PEFT's method "
        "comparison (0.000)"
    )
    search = (5e-3, 2e-1)
    changes = frozenset({"linear"})

    class Config(Spec):
        """Settings of Fourierft."""

        frequencies: Annotated[int, Gt(0)] = 1000
        """Trained coefficients a layer; no more than a layer has weights."""
        scale: Annotated[float, Gt(0)] = 150.0
        """Factor on the change."""
        targets: Targets = ("all-linear",)
        """Layers to change: ``all-linear``, ends of names (q_proj), or regular expressions over
        whole names.
        """

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Puts the adapter on the model with peft; raises SpecError when a target matches nothing
        or does not fit.
        """
        from peft import FourierFTConfig

        config = self.config
        targets = targets_of(model, config.targets)
        return with_adapter(
            model,
            FourierFTConfig,
            target_modules=targets,
            n_frequency=config.frequencies,
            scaling=config.scale,
            init_weights=True,
        )
