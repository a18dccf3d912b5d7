"""What structured pruning takes apart: attention in groups of heads, feed-forward layers in
channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

ATTENTION, FEED_FORWARD = "self_attn", "mlp"
QUERY, KEYS, OUT = "q_proj", ("k_proj", "v_proj"), "o_proj"
GATE, UP, DOWN = "gate_proj", "up_proj", "down_proj"
NORMS = ("q_norm.weight", "k_norm.weight")
"""May stand beside the projections where they know no more than one head's width."""


@dataclass(frozen=True)
class Attention:
    """The projections of an attention layer, whose heads stand beside each other in ``groups`` that
    share keys and values.
    """

    query: torch.nn.Linear
    keys: tuple[torch.nn.Linear, ...]
    """Keys, then values."""
    out: torch.nn.Linear
    groups: int

    @property
    def width(self) -> int:
        """Outputs that the heads of one group have together."""
        return self.out.in_features // self.groups

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.keys[0].out_features // self.groups

    def keep(self, groups: Iterable[int]) -> None:
        """Leaves these groups of heads."""
        kept = list(groups)
        heads = places(kept, self.width)
        alone = places(kept, self.head)
        keep_outputs(self.query, heads)
        keep_inputs(self.out, heads)
        for layer in self.keys:
            keep_outputs(layer, alone)


@dataclass(frozen=True)
class FeedForward:
    """The projections of a feed-forward layer; ``up`` holds one, or two of which one is a gate."""

    up: tuple[torch.nn.Linear, ...]
    down: torch.nn.Linear

    def keep(self, channels: torch.Tensor) -> None:
        """Leaves these channels."""
        for layer in self.up:
            keep_outputs(layer, channels)
        keep_inputs(self.down, channels)


def attention_of(block: torch.nn.Module, groups: int) -> Attention | None:
    """Returns a block's attention; None where weights belong to no single head."""
    part = dict(block.named_children()).get(ATTENTION)
    layers = _linear(part)
    if part is None or not {QUERY, *KEYS, OUT} <= set(layers):
        return None
    keys = tuple(layers[name] for name in KEYS)
    attention = Attention(layers[QUERY], keys, layers[OUT], groups)
    expected = {f"{name}.{kind}" for name in (QUERY, *KEYS, OUT) for kind in ("weight", "bias")}
    for name, parameter in part.named_parameters():
        a_head_wide = name in NORMS and parameter.numel() == attention.head
        if name not in expected and not a_head_wide:
            return None
    return attention


def feed_forward_of(block: torch.nn.Module) -> FeedForward | None:
    """Returns a block's feed-forward layer; None where weights belong to no single channel."""
    part = dict(block.named_children()).get(FEED_FORWARD)
    layers = _linear(part)
    if part is None or not {UP, DOWN} <= set(layers):
        return None
    expected = {f"{name}.{kind}" for name in (GATE, UP, DOWN) for kind in ("weight", "bias")}
    if not {name for name, _ in part.named_parameters()} <= expected:
        return None
    return FeedForward(tuple(layers[name] for name in (GATE, UP) if name in layers), layers[DOWN])


def _linear(part: torch.nn.Module | None) -> dict[str, torch.nn.Linear]:
    children = part.named_children() if part is not None else ()
    return {name: child for name, child in children if isinstance(child, torch.nn.Linear)}


def harm(weight_OI: torch.Tensor, hessian_Gww: torch.Tensor) -> torch.Tensor:
    """Computes [G] by how much the outputs change, squared and averaged over tokens, where the
    inputs of one of the groups are zero: E|W_g x_g|^2 = tr(W_g H_gg W_g^T).
    """
    weight_GOw = weight_OI.reshape(len(weight_OI), *hessian_Gww.shape[:2]).transpose(0, 1)
    return ((weight_GOw @ hessian_Gww) * weight_GOw).sum((1, 2))


def places(groups: list[int], width: int) -> torch.Tensor:
    """Returns the places [groups * width] of groups of ``width`` neighbours."""
    starts = torch.as_tensor(groups, dtype=torch.long) * width
    return (starts[:, None] + torch.arange(width)).flatten()


def keep_outputs(layer: torch.nn.Linear, kept: torch.Tensor) -> None:
    """Leaves a linear layer these outputs."""
    layer.weight = _cut(layer.weight.data[kept])
    if layer.bias is not None:
        layer.bias = _cut(layer.bias.data[kept])
    layer.out_features = len(kept)


def keep_inputs(layer: torch.nn.Linear, kept: torch.Tensor) -> None:
    """Leaves a linear layer these inputs."""
    layer.weight = _cut(layer.weight.data[:, kept])
    layer.in_features = len(kept)


def _cut(tensor: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor.contiguous(), requires_grad=False)
