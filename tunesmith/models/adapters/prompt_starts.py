"""Where virtual tokens begin and how large they are: what the model itself makes of words.

Shapes: P virtual tokens, W numbers each.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import DynamicCache


def width(base: Any, kind: str) -> int:
    """Returns how many numbers one virtual token has."""
    if kind == "words":
        return int(base.get_input_embeddings().weight.shape[1])
    layers, heads, size = key_shape(base)
    return 2 * layers * heads * size


@torch.no_grad()
def key_shape(base: Any) -> tuple[int, int, int]:
    """Returns the number of layers, of key heads, and their width, as the model caches them; from
    its config where it has no weights.

    With grouped-query attention there are fewer heads than the queries have. ValueError where
    layers differ in it.
    """
    trunk = base.base_model
    if "past_key_values" not in inspect.signature(trunk.forward).parameters:
        raise ValueError(f"{type(trunk).__name__} attends to no keys and values but its own rows'")
    if base.device.type == "meta":
        return told_shape(base.config)
    cache = DynamicCache()
    base(
        input_ids=torch.zeros(1, 1, dtype=torch.long, device=base.device),
        past_key_values=cache,
        use_cache=True,
    )
    shapes = {tuple(part.shape) for part in kept(cache)}
    if len(shapes) != 1:
        raise ValueError(f"its layers keep keys and values of different shapes: {sorted(shapes)}")
    _, heads, _, size = shapes.pop()
    return len(cache.layers), heads, size


def told_shape(config: Any) -> tuple[int, int, int]:
    """Returns the same three numbers from the config."""
    text = config.get_text_config()
    values = text.to_dict() | {
        name: text.to_dict().get(name_there) for name, name_there in text.attribute_map.items()
    }
    heads = values["num_attention_heads"]
    size = values.get("head_dim") or values["hidden_size"] // heads
    return values["num_hidden_layers"], values.get("num_key_value_heads") or heads, size


def drawn(base: Any, count: int, text_ids: list[int] | None) -> torch.Tensor:
    """Returns token ids ``[1, P]`` to start from: those of a text, repeated or cut, or ids drawn
    from the vocabulary.
    """
    if text_ids:
        ids = torch.tensor((text_ids * (count // len(text_ids) + 1))[:count])
    else:
        ids = torch.randint(0, base.config.get_text_config().vocab_size, (count,))
    return ids[None].to(base.device)


@torch.no_grad()
def started(base: Any, kind: str, ids: torch.Tensor) -> torch.Tensor:
    """Computes virtual tokens ``[P, W]`` in fp32 from the base's own values for ``ids``, so that
    training starts from an ordinary prompt.
    """
    count = ids.shape[1]
    if base.device.type == "meta":
        return torch.empty(count, width(base, kind), device="meta")
    if kind == "words":
        return base.get_input_embeddings()(ids)[0].float()
    cache = DynamicCache()
    base(input_ids=ids, past_key_values=cache, use_cache=True)
    return (
        torch.stack([part[0] for part in kept(cache)])
        .permute(2, 0, 1, 3)
        .reshape(count, -1)
        .float()
        .contiguous()
    )


def kept(cache: Any) -> list[torch.Tensor]:
    """Returns keys and values in alternation, layer after layer."""
    return [part for layer in cache.layers for part in (layer.keys, layer.values)]
