"""How the weights move: one optimizer a file; torch inside ``build``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.settings.family import OPTIMIZERS
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    import torch

__all__ = ["OPTIMIZERS", "Optimizer", "groups", "split_by_rate"]

Named = list[tuple[str, "torch.nn.Parameter"]]


class Optimizer:
    """Base of the optimizers."""

    name: ClassVar[str]
    rate_factor: ClassVar[float] = 1.0
    """What the method's default learning rate, which is meant for AdamW, is multiplied by. Others
    than 1 are rules of thumb: in a sweep over a tiny Llama (LoRA and full, 100 steps) they lowered
    the loss about as much as AdamW did."""

    state_bytes: ClassVar[float] = 8.0
    """What it keeps for each trained weight (bytes); two moments in fp32 are 8."""
    divides: ClassVar[bool] = True
    """Whether it moves weights that are divided over processes."""
    by_parts: ClassVar[bool] = False
    """Whether it moves each weight by itself, divided ones beside whole ones."""
    eight_bit: ClassVar[bool] = False
    """Whether it is one of bitsandbytes."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def build(
        self, named: Named, learning_rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Builds a torch optimizer over the trainable parameters; its groups are those of
        ``groups``.
        """
        raise AssertionError(f"optimizer {self.name} has no build")


def groups(named: Named, weight_decay: float) -> list[dict[str, Any]]:
    """Divides parameters into groups: decay on matrices, none on vectors (biases, norms,
    scales).
    """
    matrices = [parameter for _, parameter in named if parameter.ndim >= 2]
    vectors = [parameter for _, parameter in named if parameter.ndim < 2]
    both = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [group for group in both if group["params"]]


def split_by_rate(
    optimizer: torch.optim.Optimizer,
    named: Named,
    factor: Callable[[str, torch.nn.Parameter], float],
) -> None:
    """Splits the groups so that in each all weights have one ``rate_factor``, by which the loop
    multiplies its rate.
    """
    factors = {parameter: factor(name, parameter) for name, parameter in named}
    split = []
    for group in optimizer.param_groups:
        for rate_factor in dict.fromkeys(factors[parameter] for parameter in group["params"]):
            of_factor = [
                parameter for parameter in group["params"] if factors[parameter] == rate_factor
            ]
            split.append(group | {"params": of_factor, "rate_factor": rate_factor})
    optimizer.param_groups[:] = split
