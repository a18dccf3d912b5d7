"""Which weights are trained: one method a file; peft inside where peft has it.

A run calls a method in this order: ``apply``, ``study``, ``begin``, ``load_state`` where it
resumes, then at each step ``penalty`` for each micro-batch and ``after_step``; ``state`` at
checkpoints, ``save`` at the best step and the last, ``at_end``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.settings.family import METHODS
from tunesmith.settings.spec import Spec

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from tunesmith.batches.batch import Batch, Ratio

__all__ = ["METHODS", "Method", "preset"]


class Method:
    """Base of the methods. What one cannot do is stated as data."""

    name: ClassVar[str]
    learning_rate: float
    """Its own default; a single one for all methods is badly wrong."""
    source: str = ""
    """Where that learning rate comes from."""
    search: ClassVar[tuple[float, float]]
    """The rates between which a better one is worth looking for."""
    merges: bool = True
    """Whether it folds into the base's weights."""
    layouts: frozenset[str] = frozenset({"forest", "padded"})
    rewrites_base: bool = False
    """Whether, while it trains, switching it off does not give the base back."""
    starts_as_base: bool = True
    """Whether the model answers as the base does before the first step."""
    adapter: ClassVar[bool] = True
    """Whether it is saved as an adapter in peft's format beside its base; otherwise as a whole
    model.
    """
    full_precision: bool = False
    """Whether it holds the whole model in fp32, what is frozen too."""
    kinds: frozenset[str] = frozenset({"decoder", "encoder", "encoder-decoder"})
    """The kinds of model that it can take."""
    changes: ClassVar[frozenset[str]] = frozenset()
    """The kinds of layer that it changes (linear, norm, bias, block): methods with none in common
    combine; without any it works alone."""
    bases: frozenset[str] = frozenset({"plain", "nf4", "int8"})
    """The kinds of base that it trains on: plain weights, or quantised ones (``model.quantize``).
    """
    by_parts: bool = False
    """Whether it trains where each process computes with its part of every weight
    (``train.machine.shard: tensor``)."""
    new_tokens: bool = False
    """Whether it trains the rows of tokens that were added (``model.add_tokens``)."""
    fills: Mapping[str, object] = {}
    """Settings of the run, by dotted path, that have this value with it where the run gives none;
    see ``preset``.
    """
    of: ClassVar[str] = ""
    """The method that it is a preset of."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def virtual_tokens(self) -> int:
        """The number of positions beside a row that the method takes for itself."""
        return 0

    @property
    def slots(self) -> int:
        """The number of ``[P]`` that the method needs in ``data.template``."""
        return 0

    def counted(self, layers: Mapping[str, tuple[int, int]]) -> int | None:
        """Returns how many weights an adapter adds and trains, from the names and sizes of the
        linear layers alone; None, as for most, where ``apply`` has to be asked.
        """
        return None

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Makes the model trainable; frozen weights have ``requires_grad`` off, trainable ones are
        fp32.
        """
        raise AssertionError(f"method {self.name} has no apply")

    def begin(self, total_steps: int) -> None:
        """Prepares the method, once before the first step of a run, or of what is left of it;
        ``total_steps`` counts the whole run.
        """

    def study(self, model: torch.nn.Module, batches: Sequence[Batch]) -> None:
        """Looks at some micro-batches of training rows, once before ``begin``, for a method whose
        start depends on them.
        """

    def rate_factor(self, name: str, parameter: torch.nn.Parameter) -> float:
        """Returns the factor of the learning rate for this weight."""
        return 1.0

    def after_step(self, step: int) -> None:
        """Follows the run, once after each optimizer step, with the gradient still there; ``step``
        counts from 1.
        """

    def penalty(self, batch: Batch) -> Any:
        """Returns a term added to the loss sum of ``batch``; 0 for most methods."""
        return 0.0

    def metrics(self) -> dict[str, Ratio]:
        """Returns numbers of the batch that ``penalty`` has just seen, for the record's line of the
        step; none for most.
        """
        return {}

    def state(self) -> dict[str, torch.Tensor]:
        """Returns every tensor that the next step reads and the weights do not hold."""
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restores ``state()``."""

    def save(self, model: torch.nn.Module, folder: Path) -> None:
        """Writes the weights to ``folder`` as transformers or peft load them."""
        model.save_pretrained(folder)  # type: ignore[operator]

    def at_end(self) -> dict[str, object]:
        """Returns what the record says of the method at the end; nothing for most."""
        return {}


def preset(of: type[Method], module: str, text: str, **data: object) -> type[Method]:
    """Makes the method ``of`` under the name of ``module``, with other ``data``, such as ``fills``;
    ``text`` is its help.
    """
    attributes = {
        "__module__": module,
        "__doc__": text,
        "Config": of.Config,
        "of": of.name,
        **data,
    }
    return METHODS.register(type(module.rpartition(".")[2].title(), (of,), attributes))
