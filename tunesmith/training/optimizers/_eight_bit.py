"""What the 8-bit optimizers share (Dettmers et al. 2022, 8-bit Optimizers via Block-wise
Quantization), by bitsandbytes.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Lt

from tunesmith.errors import SpecError
from tunesmith.models.structure.quantize import missing_package
from tunesmith.settings.spec import Spec
from tunesmith.training.optimizers import Named, groups

if TYPE_CHECKING:
    import torch

STATE_BYTES = 2.0 + 8 / 256
"""Two moments of a byte, and for each 256 of them an fp32 scale; tensors below 4096 weights keep
theirs in fp32.
"""


class Moments(Spec):
    """Moments."""

    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Decay of the first moment per update."""
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    """Decay of the second moment per update."""
    epsilon: Annotated[float, Gt(0)] = 1e-8
    """Added to the root of the second moment."""


def build(
    config: Moments, named: Named, rates: tuple[float, float], *, paged: bool
) -> torch.optim.Optimizer:
    """Builds bitsandbytes' AdamW8bit with ``rates``, learning rate and weight decay; raises
    SpecError where the package is missing.
    """
    missing = missing_package("train.optimizer")
    if missing:
        raise SpecError(missing)
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    import bitsandbytes as bnb

    # On a CPU there is nothing to page to, and it says so at the first step.
    warnings.filterwarnings("ignore", message="Paged optimizers are not supported on CPU")
    moments = {"betas": (config.beta1, config.beta2), "eps": config.epsilon}
    kind = bnb.optim.PagedAdamW8bit if paged else bnb.optim.AdamW8bit
    return kind(groups(named, rates[1]), lr=rates[0], **moments)
