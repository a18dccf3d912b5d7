"""Several methods at once, where they change different kinds of layer: ``method: [lora,
bitfit]``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import MinLen
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from tunesmith.batches.batch import Ratio
from tunesmith.errors import Problem, SpecError
from tunesmith.methods import METHODS, Method
from tunesmith.settings.family import choice
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from tunesmith.batches.batch import Batch


@METHODS.register
class Combined(Method):
    """Several methods at once, written as a list: ``method: [lora, bitfit]``; each must change
    layers of another kind (linear layers, norms, biases, blocks)."""

    learning_rate = 2e-4  # of lora alone; that of a list is set below
    source = "the smallest of its methods' own rates"
    search = (5e-6, 5e-3)

    class Config(Spec):
        """Methods that are used together."""

        methods: Annotated[tuple[choice(METHODS), ...], MinLen(1)]  # type: ignore[valid-type]
        """The methods, each by its name or with its settings; they may not change the same kind of
        layer.
        """

        @model_validator(mode="after")
        def fit(self) -> Any:
            """Refuses methods that cannot be used together, with the reason."""
            reasons = _reasons([METHODS.make(method) for method in self.methods])
            if reasons:
                raise PydanticCustomError("choice", "{text}", {"text": "; ".join(reasons)})
            return self

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        parts: list[Method] = [METHODS.make(part) for part in config.methods]
        # Weights of the base first, then norms, which peft merges only from within, our own layers
        # last: around all others.
        self.methods = sorted(
            parts,
            key=lambda part: (
                part.adapter,
                "norm" not in part.changes,
                "block" in part.changes,
                part.name,
            ),
        )
        self.learning_rate = min(part.learning_rate for part in parts)
        self.source = say(
            "own.smallest", rates=", ".join(f"{part.name} {part.learning_rate:g}" for part in parts)
        )
        self.merges = all(part.merges or not part.adapter for part in parts)
        self.layouts = frozenset.intersection(*(part.layouts for part in parts))
        self.kinds = frozenset.intersection(*(part.kinds for part in parts))
        self.rewrites_base = any(part.rewrites_base for part in parts)
        self.starts_as_base = all(part.starts_as_base for part in parts)
        self.full_precision = any(part.full_precision for part in parts)
        self.bases = frozenset.intersection(*(part.bases for part in parts))
        self.new_tokens = any(part.new_tokens for part in parts)
        self.fills = {path: value for part in parts for path, value in part.fills.items()}

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Applies all methods; each freezes what it does not train, so what any of them trains is
        kept.
        """
        from tunesmith.models.structure.kinds import HEADS, head_of

        if HEADS[head_of(model)].named:
            raise SpecError(Problem("method", say("heads.several")))
        from tunesmith.models.adapters import beside_base

        trained: list[torch.nn.Parameter] = []
        for method in self.methods:
            model = _within(model, method)
            trained += [weight for weight in model.parameters() if weight.requires_grad]
        for weight in trained:
            weight.requires_grad_(True)
        return beside_base.switchable(model)

    def study(self, model: torch.nn.Module, batches: Sequence[Batch]) -> None:
        """Lets each method study the batches."""
        for method in self.methods:
            method.study(model, batches)

    def rate_factor(self, name: str, parameter: torch.nn.Parameter) -> float:
        """Multiplies the factors of all methods; each knows its own weights by their names."""
        return math.prod(method.rate_factor(name, parameter) for method in self.methods)

    def begin(self, total_steps: int) -> None:
        """Begins each method."""
        for method in self.methods:
            method.begin(total_steps)

    def after_step(self, step: int) -> None:
        """Tells each method that a step is done."""
        for method in self.methods:
            method.after_step(step)

    def penalty(self, batch: Batch) -> Any:
        """Adds up the penalties of all methods."""
        return sum(method.penalty(batch) for method in self.methods)

    def metrics(self) -> dict[str, Ratio]:
        """Returns the metrics of all methods together."""
        return {name: ratio for method in self.methods for name, ratio in method.metrics().items()}

    def state(self) -> dict[str, torch.Tensor]:
        """Returns the states of all methods, each under its method's name."""
        return {
            f"{method.name}/{key}": value
            for method in self.methods
            for key, value in method.state().items()
        }

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores ``state()``."""
        for method in self.methods:
            start = f"{method.name}/"
            method.load_state(
                {
                    key.removeprefix(start): value
                    for key, value in state.items()
                    if key.startswith(start)
                }
            )

    def save(self, model: torch.nn.Module, folder: Path) -> None:
        """Saves the settings of all methods and every trained tensor; ``tunesmith.attach`` puts
        them beside the base again.
        """
        from tunesmith.models.adapters import beside_base

        beside_base.save(model, self.config, folder)

    def at_end(self) -> dict[str, object]:
        """Returns what each method says at the end."""
        return {method.name: facts for method in self.methods if (facts := method.at_end())}


def _within(model: torch.nn.Module, method: Method) -> Any:
    """Applies one more method to ``model``; of several peft models one stays, because peft cannot
    merge one in another.
    """
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return method.apply(model)
    inner = model.get_base_model()
    config = vars(inner).pop("peft_config")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are trying to modify a model with PEFT")
        changed = method.apply(inner)
    if changed is not inner:
        return changed
    inner.peft_config = config
    return model


def _reasons(methods: list[Method]) -> list[str]:
    """Returns the reasons why the methods cannot be used together, from what each of them
    changes.
    """
    reasons = []
    for index, method in enumerate(methods):
        if not method.changes:
            reasons.append(say("own.alone", method=method.name))
        if method.rewrites_base and method.adapter:
            reasons.append(say("own.rewrites", method=method.name))
        for other in methods[:index]:
            both = sorted(method.changes & other.changes)
            if both:
                kinds = ", ".join(say(f"own.kind_{kind}") for kind in both)
                reasons.append(
                    say("own.both_change", one=other.name, other=method.name, kinds=kinds)
                )
    return reasons
