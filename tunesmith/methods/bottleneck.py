"""Bottleneck adapters: houlsby (Houlsby et al. 2019, figure 2), pfeiffer (Pfeiffer et al. 2021),
parallel (He et al. 2022).

All add ``scale · up(activation(down(h)))`` to the output of a block's attention or feed-forward,
before the skip connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import BeforeValidator

from tunesmith.errors import Problem, SpecError
from tunesmith.methods import METHODS, Method
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from tunesmith.models.structure.layers import Block


def _as_numbers(value: object) -> Any:
    return (value,) if isinstance(value, int) else value


@METHODS.register
class Bottleneck(Method):
    """A small two-layer network behind (or beside) attention and feed-forward of each block."""

    learning_rate = 1e-3
    source = (
        "within the sweep of Houlsby et al. 2019, section 3.1: 3e-5, 3e-4, 3e-3; measured on the "
        "starter"
    )
    search = (1e-4, 5e-3)
    changes = frozenset({"block"})
    merges = False

    class Config(Spec):
        """Bottleneck adapters."""

        variant: Literal["houlsby", "pfeiffer", "parallel"] = "pfeiffer"
        """Where the adapters stand; houlsby: behind attention and feed-forward; pfeiffer: behind
        feed-forward; parallel: beside it, on its input.
        """
        size: Annotated[int, Gt(0)] | None = None
        """Width of the bottleneck; the model's width over ``reduction`` when not given."""
        reduction: Annotated[float, Ge(1)] = 16
        """How many times narrower the bottleneck is than the model."""
        activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
        """What stands between squeezing and widening."""
        scale: Annotated[float, Gt(0)] | None = None
        """Factor on what is added; 4 for parallel (He et al. 2022), 1 otherwise, when not given."""
        layers: Annotated[tuple[Annotated[int, Ge(0)], ...], BeforeValidator(_as_numbers)] = ()
        """Numbers of the blocks that get one, from 0 on, in each stack; all when not given."""

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Adds the adapters to the model; raises SpecError, with the places there are, where a
        place is missing.
        """
        from tunesmith.models.adapters import beside_base
        from tunesmith.models.adapters.layers.bottleneck import Bottleneck
        from tunesmith.models.structure.layers import blocks

        config, width = self.config, model.config.get_text_config().hidden_size  # type: ignore[union-attr, operator]
        size = config.size or max(1, round(width / config.reduction))
        if size > width:
            raise SpecError(Problem("method.size", say("own.too_wide", size=size, width=width)))
        scale = config.scale or (4.0 if config.variant == "parallel" else 1.0)
        device = next(model.parameters()).device
        wanted = [
            (name, block)
            for block in self._chosen(blocks(model, width))
            for name in self._places(block)
        ]
        for name, block in wanted:
            adapter = Bottleneck(
                width, size, activation=config.activation, scale=scale, device=device
            )
            if config.variant == "parallel" and block.feed_forward:
                adapter.beside(
                    model.get_submodule(block.feed_forward[0]), model.get_submodule(name)
                )
            else:
                adapter.behind(model.get_submodule(name))
        return beside_base.switchable(model)

    def _chosen(self, found: list[Block]) -> list[Block]:
        there = {block.layer for block in found}
        unknown = [layer for layer in self.config.layers if layer not in there]
        if unknown or not found:
            text = say(
                "own.no_layers", layers=", ".join(map(str, unknown)) or "-", count=len(there)
            )
            raise SpecError(Problem("method.layers", text))
        return [block for block in found if block.layer in (self.config.layers or there)]

    def _places(self, block: Block) -> list[str]:
        wanted = list(block.attentions) if self.config.variant == "houlsby" else []
        if block.feed_forward is None or (self.config.variant == "houlsby" and not wanted):
            lacking = say("own.attention" if block.feed_forward else "own.feed_forward")
            text = say(
                "own.no_place", block=block.name, lacking=lacking, seen=", ".join(block.seen) or "-"
            )
            raise SpecError(Problem("method.variant", text))
        return [*wanted, block.feed_forward[1]]

    def save(self, model: torch.nn.Module, folder: Path) -> None:
        """Saves the settings and the adapters' weights; ``tunesmith.attach`` puts them beside the
        base again.
        """
        from tunesmith.models.adapters import beside_base

        beside_base.save(model, self.config, folder)
