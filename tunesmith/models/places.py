"""Where in a model's blocks attention and feed-forward end, found by structure, and how many places it has for a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

Named = tuple[str, torch.nn.Module]


@dataclass(frozen=True)
class Block:
    """One block: full names of the last layer of each attention, and of the feed-forward's first and last layer.

    ``layer`` counts within its stack; ``seen`` are the linear layers it has, with their sizes, for a person.
    """

    name: str
    layer: int
    attentions: tuple[str, ...]
    feed_forward: tuple[str, str] | None
    seen: tuple[str, ...]


def blocks(model: torch.nn.Module, width: int) -> list[Block]:
    """The blocks of every stack (an encoder's and a decoder's), in order; ``width`` is that of the model."""
    found: list[Block] = []
    for name, part in _stacks(model, ""):
        found += [_block(f"{name}.{index}", index, block, width) for index, block in enumerate(part)]  # type: ignore[arg-type]
    return found


def longest_row(model: torch.nn.Module, text: dict[str, Any]) -> int | None:
    """The longest row that a model takes (tokens), by its ``text`` config; None where it says none."""
    # T5 keeps a number of positions in its config, but sees distances alone, and has no longest row.
    relative = text.get("relative_attention_num_buckets")
    limit = None if relative else text.get("max_position_embeddings") or text.get("n_positions")
    for name, part in model.named_modules():
        if limit and name.endswith("position_embeddings") and vars(part).get("padding_idx") is not None:
            limit -= vars(part)["padding_idx"] + 1  # RoBERTa counts positions from behind the padding's
    return int(limit) if limit else None


def sizes(layer: torch.nn.Module) -> tuple[int, int] | None:
    """Inputs and outputs of a linear layer, of whatever kind and wrapped by peft or not; None for another layer."""
    from transformers.pytorch_utils import Conv1D

    inner = dict(layer.named_children()).get("base_layer", layer)
    if isinstance(inner, torch.nn.Linear):
        return inner.in_features, inner.out_features
    return (inner.weight.shape[0], inner.nf) if isinstance(inner, Conv1D) else None


def _stacks(module: torch.nn.Module, name: str) -> Iterator[Named]:
    """The outermost lists of modules that hold linear layers or experts."""
    for key, child in module.named_children():
        here = f"{name}.{key}" if name else key
        if isinstance(child, torch.nn.ModuleList) and any(sizes(part) for part in child.modules()):
            yield here, child
        elif not isinstance(child, torch.nn.ModuleList):
            yield from _stacks(child, here)


def _block(name: str, layer: int, block: torch.nn.Module, width: int) -> Block:
    attentions: dict[str, str] = {}
    others: list[Named] = []
    seen: list[str] = []
    for path, part, attention in _leaves(block, "", ""):
        inputs, outputs = sizes(part) or (width, width)
        seen.append(f"{path} {outputs}×{inputs}")
        if attention and outputs == width:
            attentions[attention] = path  # the last of them is the one back to the model's width
        elif not attention:
            others.append((path, part))
    first = [path for path, part in others if (sizes(part) or (width, 0))[0] == width]
    last = [path for path, part in others if (sizes(part) or (0, width))[1] == width]
    ends = (f"{name}.{first[0]}", f"{name}.{last[-1]}") if first and last else None
    return Block(name, layer, tuple(f"{name}.{path}" for path in attentions.values()), ends, tuple(seen))


def _leaves(module: torch.nn.Module, path: str, attention: str) -> Iterator[tuple[str, torch.nn.Module, str]]:
    """Path, layer, and path of the attention it belongs to, of every linear layer; a mixture of experts counts as one."""
    for key, child in module.named_children():
        here = f"{path}.{key}" if path else key
        inside = attention or (here if _is_attention(child) else "")
        if sizes(child) or (not inside and _is_mixture(child)):
            yield here, child, inside
        else:
            yield from _leaves(child, here, inside)


def _is_attention(module: torch.nn.Module) -> bool:
    name = type(module).__name__.lower()
    return "attention" in name or "attn" in name


def _is_mixture(module: torch.nn.Module) -> bool:
    """Whether a child holds the weights of several experts in one tensor (as transformers 5 keeps them), or in a list."""
    for child in module.children():
        stacked = any(weight.dim() == 3 for weight in child.parameters(recurse=False))
        if stacked or isinstance(child, torch.nn.ModuleList | torch.nn.ModuleDict):
            return True
    return False
