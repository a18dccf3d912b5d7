"""An encoder with its head, or a decoder with its cache, as one ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

PAST = "past_key_values."
"""Before the number of a layer in the names of keys and values that a decoder is given."""
LARGEST = 1_500_000_000
"""Bytes of weights from which they stand in a file beside it: protobuf ends at two gigabytes."""


class _Head(torch.nn.Module):
    """A model whose inputs have an order, and whose output is plain tensors: logits, or for vectors
    those of the tokens and the pooled one.
    """

    def __init__(self, model: Any, names: Sequence[str], pooling: Any) -> None:
        super().__init__()
        self.model, self.names, self.pooling = model, list(names), pooling

    def forward(self, *inputs: torch.Tensor) -> Any:
        by_name = dict(zip(self.names, inputs, strict=True))
        output = self.model(**by_name)
        if self.pooling is None:
            return output.logits
        vectors_BTD = output.last_hidden_state
        return vectors_BTD, pooled(vectors_BTD, by_name["attention_mask"], self.pooling)


def pooled(vectors_BTD: torch.Tensor, mask_BT: torch.Tensor, how: Any) -> torch.Tensor:
    """Pools right-padded vectors of tokens to one a text, as the run's objective does."""
    mask_BT1 = mask_BT[..., None].to(vectors_BTD.dtype)
    if how.pooling == "cls":
        text_BD = vectors_BTD[:, 0]
    elif how.pooling == "mean":
        text_BD = (vectors_BTD * mask_BT1).sum(1) / mask_BT1.sum(1)
    else:
        last_B = mask_BT.sum(1) - 1
        places = last_B[:, None, None].expand(-1, 1, vectors_BTD.shape[-1])
        text_BD = vectors_BTD.gather(1, places)[:, 0]
    return torch.nn.functional.normalize(text_BD, dim=-1) if how.normalize else text_BD


def write_onnx(path: Path, model: Any, names: Sequence[str], pooling: Any) -> None:
    """Writes the model, in fp32, for any number and length of texts. ``names`` are the inputs that
    its tokenizer gives; ``pooling`` the settings of an objective that gives vectors, else None.
    """
    dynamic = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    outputs = ["logits"] if pooling is None else ["last_hidden_state", "sentence_embedding"]
    # One tensor given twice would become one input.
    examples = tuple(torch.ones(2, 6, dtype=torch.long) for _ in names)
    shapes = (tuple(dynamic for _ in names),)
    _export(path, _Head(model, names, pooling), examples, (list(names), outputs, shapes))


class _Decoder(torch.nn.Module):
    """A decoder whose cache comes and goes as plain tensors: keys and values of each layer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        past: list[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config)
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        layers: Any = cache.layers
        cached = [tensor for layer in layers for tensor in (layer.keys, layer.values)]
        return output.logits, *cached


def write_decoder(path: Path, model: Any) -> None:
    """Writes a decoder, in fp32, for any number and length of prompts behind any number of tokens
    before; inputs and outputs are called as others call them.
    """
    auto, config = torch.export.Dim.AUTO, model.config
    with torch.no_grad():
        cache = model(input_ids=torch.ones(2, 5, dtype=torch.long), use_cache=True).past_key_values
    past = [tensor.clone() for layer in cache.layers for tensor in (layer.keys, layer.values)]
    new = {0: auto, 1: auto}
    examples = (
        torch.ones(2, 3, dtype=torch.long),
        torch.ones(2, 8, dtype=torch.long),
        torch.arange(5, 8).repeat(2, 1),
        past,
    )
    kinds = [f"{n}.{kind}" for n in range(config.num_hidden_layers) for kind in ("key", "value")]
    inputs = ["input_ids", "attention_mask", "position_ids", *(PAST + kind for kind in kinds)]
    outputs = ["logits", *(f"present.{kind}" for kind in kinds)]
    shapes = (new, new, new, [{0: auto, 2: auto}] * len(past))
    _export(path, _Decoder(model), examples, (inputs, outputs, shapes))


def _export(path: Path, module: torch.nn.Module, given: Any, called: tuple[Any, ...]) -> None:
    """Writes what ``module`` does with ``given``; ``called`` are the names of inputs and outputs,
    and which of their sizes are free.
    """
    size = sum(weight.numel() * weight.element_size() for weight in module.parameters())
    inputs, outputs, shapes = called
    # It tells that torchvision, of which a text needs nothing, is not there.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            given,
            path,
            dynamo=True,
            verbose=False,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            external_data=size > LARGEST,
        )


def rounded(source: Path, path: Path) -> None:
    """Rounds weights to 8 bits; activations are rounded as the model runs."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, path, per_channel=True, weight_type=QuantType.QInt8)
