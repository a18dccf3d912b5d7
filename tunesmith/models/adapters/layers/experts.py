"""Low-rank experts beside a linear layer, of which a router chooses the best k for each token,
without a loop over tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import dropout, linear

from tunesmith.models.adapters.layers.hooked import HookedLayer


class LoraExperts(HookedLayer):
    """``scale · Σ g_e(x) B_e A_e x`` over the top k of E experts of rank R; the gates g are
    probabilities made to sum to 1.

    All experts' inner values are computed, E R a token, and those that were not chosen multiplied
    by 0.
    """

    def __init__(
        self, inputs: int, outputs: int, *, experts: int, rank: int, device: torch.device
    ) -> None:
        super().__init__()
        self.router_EI = torch.nn.Parameter(torch.empty(experts, inputs, device=device))
        self.down_ERI = torch.nn.Parameter(torch.empty(experts, rank, inputs, device=device))
        self.up_OER = torch.nn.Parameter(torch.zeros(outputs, experts, rank, device=device))
        torch.nn.init.normal_(self.router_EI, std=0.02)
        bound = inputs**-0.5  # that of peft's LoRA, kaiming_uniform with a = √5
        torch.nn.init.uniform_(self.down_ERI, -bound, bound)
        self.top_k, self.scale, self.dropout = 1, 1.0, 0.0
        self.seen: tuple[torch.Tensor, torch.Tensor] | None = None
        """Probabilities and choices ``[T, E]`` of the last forward with gradient."""

    def beside(self, layer: torch.nn.Module) -> None:
        """Puts the experts beside ``layer``."""
        layer.add_module("experts", self)
        layer.register_forward_hook(self._after)

    def change(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns what is added to the layer's output, in fp32 or the type of autocast."""
        x = inputs.to(self.router_EI.dtype)
        with torch.autocast(x.device.type, enabled=False):
            probs, chosen = routed(linear(x.float(), self.router_EI), self.top_k)
        if self.training and torch.is_grad_enabled():
            self.seen = probs.flatten(0, -2), chosen.flatten(0, -2)
        gates = probs * chosen
        gates = gates / gates.sum(-1, keepdim=True)
        x = dropout(x, self.dropout, self.training)
        inner = linear(x, self.down_ERI.flatten(0, 1))
        inner = inner.unflatten(-1, self.down_ERI.shape[:2])
        inner = inner * gates.unsqueeze(-1)
        return self.scale * linear(inner.flatten(-2), self.up_OER.flatten(1))

    def _after(
        self, _: torch.nn.Module, inputs: tuple[Any, ...], output: torch.Tensor
    ) -> torch.Tensor:
        return output + self.change(inputs[0]).to(output.dtype) if self.on else output


def routed(logits_TE: torch.Tensor, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the router's probabilities, and 1 where an expert is among the ``top_k`` of a
    token.
    """
    probs_TE = logits_TE.float().softmax(-1)
    best_Tk = probs_TE.detach().topk(top_k, dim=-1).indices
    chosen_TE = torch.zeros_like(probs_TE)
    return probs_TE, chosen_TE.scatter_(-1, best_Tk, 1.0)
