"""Where in a model's blocks attention and feed-forward end, found by structure, and how many places
it has for a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.models.structure.kinds import plain, virtual_tokens
from tunesmith.plain import JsonObject

if TYPE_CHECKING:
    import torch

    Layers = dict[str, torch.nn.Module]
    Named = tuple[str, torch.nn.Module]


@dataclass(frozen=True)
class Block:
    """One block: full names of the last layer of each attention, and of the feed-forward's first
    and last layer.

    ``layer`` counts within its stack; ``seen`` are the linear layers it has, with their sizes, for
    a person.
    """

    name: str
    layer: int
    attentions: tuple[str, ...]
    feed_forward: tuple[str, str] | None
    seen: tuple[str, ...]


def blocks(model: torch.nn.Module, width: int) -> list[Block]:
    """Returns the blocks of every stack (an encoder's and a decoder's), in order; ``width`` is that
    of the model.
    """
    blocks_found: list[Block] = []
    for name, part in stacks(model):
        for index, block in enumerate(part.children()):
            blocks_found.append(_block(f"{name}.{index}", index, block, width))
    return blocks_found


def longest_row(model: torch.nn.Module, text: JsonObject) -> int | None:
    """Returns the length of the longest row that a model takes (tokens), by its ``text`` config;
    None where it gives none.
    """
    import torch

    # T5 keeps a number of positions in its config, but sees distances alone, and has no longest
    # row.
    relative = text.get("relative_attention_num_buckets")
    limit = None if relative else text.get("max_position_embeddings") or text.get("n_positions")
    for name, part in model.named_modules():
        table = part if isinstance(part, torch.nn.Embedding) else None
        if limit and table and name.endswith("position_embeddings"):
            # RoBERTa counts from behind the padding's position.
            limit -= 0 if table.padding_idx is None else table.padding_idx + 1
    return int(limit) if limit else None


def places(model: torch.nn.Module) -> int | None:
    """Returns the length of the longest row that ``model`` takes, with adapters or without
    (tokens), virtual tokens not counted; None where its config gives none.
    """
    inner = plain(model)
    limit = longest_row(inner, inner.config.get_text_config().to_dict())
    return limit - virtual_tokens(model) if limit is not None else None


def sizes(layer: torch.nn.Module) -> tuple[int, int] | None:
    """Returns the numbers of inputs and outputs of a linear layer, of any kind and wrapped by peft
    or not; None for another layer.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    inner = dict(layer.named_children()).get("base_layer", layer)
    if isinstance(inner, torch.nn.Linear):
        return inner.in_features, inner.out_features
    return (inner.weight.shape[0], inner.nf) if isinstance(inner, Conv1D) else None


def stacks(module: torch.nn.Module, name: str = "") -> Iterator[Named]:
    """Yields the outermost lists of modules that hold linear layers or experts."""
    import torch

    for key, child in module.named_children():
        here = f"{name}.{key}" if name else key
        if isinstance(child, torch.nn.ModuleList) and any(sizes(part) for part in child.modules()):
            yield here, child
        elif not isinstance(child, torch.nn.ModuleList):
            yield from stacks(child, here)


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
    return Block(
        name, layer, tuple(f"{name}.{path}" for path in attentions.values()), ends, tuple(seen)
    )


def _leaves(
    module: torch.nn.Module, path: str, attention: str
) -> Iterator[tuple[str, torch.nn.Module, str]]:
    """Yields path, layer, and path of the attention it belongs to, for every linear layer; a
    mixture of experts counts as one.
    """
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
    """Tells whether a child holds the weights of several experts in one tensor (as transformers 5
    keeps them), or in a list.
    """
    import torch

    for child in module.children():
        stacked = any(weight.dim() == 3 for weight in child.parameters(recurse=False))
        if stacked or isinstance(child, torch.nn.ModuleList | torch.nn.ModuleDict):
            return True
    return False


def _outside_head(model: torch.nn.Module, layers: Layers) -> Layers:
    """Removes the layers of the output head, which is trained whole or not at all."""
    from tunesmith.models.structure.heads import head_parts

    parts = head_parts(model)
    head = model.get_output_embeddings()  # type: ignore[operator]
    return {
        name: part
        for name, part in layers.items()
        if part is not head
        and not any(
            name == part_of_head or name.startswith(f"{part_of_head}.") for part_of_head in parts
        )
    }


def linear_layers(model: torch.nn.Module) -> Layers:
    """Returns the linear layers by full name (GPT-2's Conv1D counts), without the output head and
    gates, which have one output.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    linear: Layers = {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear | Conv1D)
    }
    return _outside_head(
        model, {name: part for name, part in linear.items() if (sizes(part) or (0, 0))[1] > 1}
    )


def norm_layers(model: torch.nn.Module) -> Layers:
    """Returns the layer norms by full name, of any class (LayerNorm, LlamaRMSNorm, …)."""
    norms = {
        name: part
        for name, part in model.named_modules()
        if "norm" in type(part).__name__.lower()
        and "weight" in dict(part.named_parameters(recurse=False))
    }
    return _outside_head(model, norms)


def expert_stacks(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Returns the weights of all experts of a layer in one tensor ``[E, …]``, by full name, as
    transformers holds mixtures.
    """
    return {
        name: weight
        for name, weight in model.named_parameters()
        if weight.dim() == 3 and "experts" in name
    }


def size_of(layer: Any) -> tuple[int, int]:
    """Returns both sizes of a linear layer's matrix as it is held; a quantised layer holds it
    packed.
    """
    import torch

    return (
        (layer.out_features, layer.in_features)
        if isinstance(layer, torch.nn.Linear)
        else tuple(layer.weight.shape)
    )


def _inputs(layer: Any) -> int:
    """Returns the number of inputs of a linear layer; a Conv1D holds its weight transposed."""
    import torch

    return layer.in_features if isinstance(layer, torch.nn.Linear) else layer.weight.shape[0]


def largest_and_outside(model: torch.nn.Module) -> tuple[int, int]:
    """Counts the weights of the largest block, and those outside of blocks."""
    blocks = [count_of(block) for _, stack in stacks(model) for block in stack.children()]
    return max(blocks, default=0), count_of(model) - sum(blocks)


def count_of(module: torch.nn.Module) -> int:
    """Counts the weights of a module."""
    return sum(weight.numel() for weight in module.parameters())
