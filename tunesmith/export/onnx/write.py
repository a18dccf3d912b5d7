"""An encoder with its head as one ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

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
        given = dict(zip(self.names, inputs, strict=True))
        output = self.model(**given)
        if self.pooling is None:
            return output.logits
        vectors_BTD = output.last_hidden_state
        return vectors_BTD, pooled(vectors_BTD, given["attention_mask"], self.pooling)


def pooled(vectors_BTD: torch.Tensor, mask_BT: torch.Tensor, how: Any) -> torch.Tensor:
    """Pools right-padded vectors of tokens to one a text, as the run's objective does."""
    mask_BT1 = mask_BT[..., None].to(vectors_BTD.dtype)
    if how.pooling == "cls":
        found = vectors_BTD[:, 0]
    elif how.pooling == "mean":
        found = (vectors_BTD * mask_BT1).sum(1) / mask_BT1.sum(1)
    else:
        last_B = mask_BT.sum(1) - 1
        places = last_B[:, None, None].expand(-1, 1, vectors_BTD.shape[-1])
        found = vectors_BTD.gather(1, places)[:, 0]
    return torch.nn.functional.normalize(found, dim=-1) if how.normalize else found


def write_onnx(path: Path, model: Any, names: Sequence[str], pooling: Any) -> None:
    """Writes the model, in fp32, for any number and length of texts. ``names`` are the inputs that
    its tokenizer gives; ``pooling`` the settings of an objective that gives vectors, else None.
    """
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    dynamic = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    # It tells that torchvision, of which a text needs nothing, is not there.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    outputs = ["logits"] if pooling is None else ["last_hidden_state", "sentence_embedding"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Head(model, names, pooling).eval(),
            # One tensor given twice would become one input.
            tuple(torch.ones(2, 6, dtype=torch.long) for _ in names),
            path,
            dynamo=True,
            verbose=False,
            input_names=list(names),
            output_names=outputs,
            dynamic_shapes=(tuple(dynamic for _ in names),),
            external_data=size > LARGEST,
        )


def rounded(source: Path, path: Path) -> None:
    """Rounds weights to 8 bits; activations are rounded as the model runs."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, path, per_channel=True, weight_type=QuantType.QInt8)
