"""A bottleneck beside a layer (Houlsby et al. 2019, section 2.1): D values are squeezed to S and
widened again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import gelu, linear, relu, silu

from tunesmith.models.adapters.layers.hooked import HookedLayer

ACTIVATIONS = {"relu": relu, "gelu": gelu, "silu": silu, "tanh": torch.tanh}


class Bottleneck(HookedLayer):
    """``scale · up(activation(down(h)))``, where ``up`` starts at zero; D is the width of the
    model, S that of the bottleneck.
    """

    def __init__(
        self, width: int, size: int, *, activation: str, scale: float, device: torch.device
    ) -> None:
        super().__init__()
        self.activation, self.scale = ACTIVATIONS[activation], scale
        self.down_SD = torch.nn.Parameter(torch.empty(size, width, device=device))
        self.down_S = torch.nn.Parameter(torch.zeros(size, device=device))
        self.up_DS = torch.nn.Parameter(torch.zeros(width, size, device=device))
        self.up_D = torch.nn.Parameter(torch.zeros(width, device=device))
        # Wide enough that the first gradients of ``up``, which come through it, are of the size of
        # the activations.
        torch.nn.init.kaiming_uniform_(self.down_SD, a=5**0.5)
        self._input: torch.Tensor | None = None

    def change(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns what is added to the layer's output, in its type."""
        inner = self.activation(linear(hidden.to(self.down_SD.dtype), self.down_SD, self.down_S))
        return (self.scale * linear(inner, self.up_DS, self.up_D)).to(hidden.dtype)

    def behind(self, last: torch.nn.Module) -> None:
        """Puts the adapter behind ``last``, whose output it reads and adds to."""
        last.add_module("bottleneck", self)
        last.register_forward_hook(self._after)

    def beside(self, first: torch.nn.Module, last: torch.nn.Module) -> None:
        """Puts the adapter beside the layers from ``first`` to ``last``: it reads the input of the
        one and adds to the other's output.
        """
        last.add_module("bottleneck", self)
        first.register_forward_pre_hook(self._before)
        last.register_forward_hook(self._after)

    def _before(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._input = inputs[0]

    def _after(self, _: torch.nn.Module, __: object, output: Any) -> Any:
        taken, self._input = self._input, None
        if not self.on:
            return output
        hidden = output[0] if isinstance(output, tuple) else output
        hidden = hidden + self.change(hidden if taken is None else taken)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden
