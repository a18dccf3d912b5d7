"""Whole layers taken out of a decoder, and put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tunesmith.export.rounding.walk import block_list

NUMBER = "layer_idx"
"""Where a layer and its attention keep their place in the cache."""


class Layers:
    """The layers of a model, of which any may be left out for a while."""

    def __init__(self, model: Any) -> None:
        layers = block_list(model)
        assert layers is not None, "the blocks were looked for before"
        self.config = model.config.get_text_config()
        self.all = list(layers)
        self._places = [
            (part, name)
            for part in model.modules()
            for name, child in part.named_children()
            if child is layers
        ]
        self._lists = {
            name: list(value)
            for name, value in self.config.to_dict().items()
            if "layer" in name and isinstance(value, list | tuple) and len(value) == len(self.all)
        }
        """What the configuration says of each layer, as layer_types does."""

    def keep(self, kept: Sequence[int]) -> None:
        """Leaves these layers in the model, numbered anew: the cache has a place for each."""
        layers = torch.nn.ModuleList(self.all[number] for number in kept)
        for part, name in self._places:
            setattr(part, name, layers)
        self.config.num_hidden_layers = len(kept)
        for name, values in self._lists.items():
            setattr(self.config, name, [values[number] for number in kept])
        for number, layer in enumerate(layers):
            for part in layer.modules():
                if NUMBER in part.__dict__:
                    setattr(part, NUMBER, number)
