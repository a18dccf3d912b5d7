"""Where the run began, and how far the weights have gone from there: ½ Σ F (θ − θ₀)², F one or the
Fisher information of each weight.

Of a LoRA it is the change of the base's weight, s B A, that counts: at its start B is 0, so that
A has no gradient at all, and a distance of A and B protects nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.errors import Problem, SpecError
from tunesmith.methods.lora import Lora
from tunesmith.models.loading.load import Loaded
from tunesmith.models.roles import ROLES, Role
from tunesmith.settings.family import METHODS
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.methods import Method
    from tunesmith.settings.run import Run


@dataclass(frozen=True)
class Moving:
    """A weight of the model that training changes; ``change`` computes by how much, in its
    shape.
    """

    name: str
    """As in the base, whatever stands beside it."""
    weight: torch.Tensor
    """The model's own, which the model computes with."""
    change: Callable[[], torch.Tensor]


@dataclass
class FromStart:
    """How far weights are from where they began; ``fisher`` says how much each of them counts."""

    moving: list[Moving]
    fisher: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Of each weight by name; without any all count alike."""

    def distance(self) -> torch.Tensor:
        """Computes ½ Σ F (θ − θ₀)², with gradient."""
        total = torch.zeros(())
        for weight in self.moving:
            squared = weight.change().float().square()
            if self.fisher:
                squared = squared * self.fisher[weight.name]
            total = total.to(squared.device) + 0.5 * squared.sum()
        return total


def start_of(model: Any, method: Method) -> FromStart:
    """Takes the weights as they stand as the start; of methods other than LoRA it keeps a copy."""
    if isinstance(method, Lora):
        inner = [name for name, _ in model.named_modules() if name.endswith(".lora_A")]
        layers = [name.removesuffix(".lora_A") for name in inner]
        return FromStart([_product(name, model.get_submodule(name)) for name in layers])
    named = model.named_parameters()
    return FromStart([_copied(name, weight) for name, weight in named if weight.requires_grad])


def _product(name: str, layer: Any) -> Moving:
    """Returns the base's weight of a LoRA layer."""
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    scale, turned = layer.scaling["default"], vars(layer).get("fan_in_fan_out")

    def change() -> torch.Tensor:
        product = scale * (up @ down)
        return product.T if turned else product

    return Moving(
        f"{name.removeprefix('base_model.model.')}.weight", layer.base_layer.weight, change
    )


def _copied(name: str, weight: torch.Tensor) -> Moving:
    start = weight.detach().clone()
    return Moving(name, weight, lambda: weight - start)


def refused(run: Run) -> list[Problem]:
    """Returns why the distance of this run's method to its start is none of weights of the base."""
    method = METHODS.make(run.method)
    if not method.adapter:
        return []
    if isinstance(method, Lora):
        config = method.config
        plain = config.variant != "dora" and method.starts_as_base and not method.rewrites_base
        if plain and not any("experts" in target for target in config.targets):
            return []
    several = method.name == "combined"
    called = say("method.several_at_once") if several else method.name
    text = say("method.no_distance", objective=run.objective.name, method=called)
    return [Problem("method", text)]


@ROLES.register
class Start(Role):
    """The start of the run."""

    def check(self, tokenizer: Tokenizer) -> None:
        """Refuses a method that does not move weights of the base."""
        problems = refused(self.run)
        if problems:
            raise SpecError(problems)

    def model(self, policy: Loaded, method: Method) -> FromStart:
        """Returns it, with every weight counting alike."""
        return start_of(policy.model, method)
