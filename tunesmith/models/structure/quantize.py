"""Bases whose linear layers are quantised by bitsandbytes as they load: NF4 with double
quantisation (Dettmers et al. 2023, QLoRA, section 3) or int8 (Dettmers et al. 2022, LLM.int8());
and the way back to plain weights.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tunesmith.errors import Problem, SpecError
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

BYTES = {"nf4": 0.5 + 1 / 64 + 4 / (64 * 256), "int8": 1.0}
"""Bytes of a quantised weight. NF4: 4 bits; for each 64 of them one byte of scale, and for each 256
of these one fp32.
"""


def missing_package(where: str) -> list[Problem]:
    """Returns the problem at the setting ``where``, with the command that solves it, when
    bitsandbytes is not installed.
    """
    installed = importlib.util.find_spec("bitsandbytes") is not None
    return [] if installed else [Problem(where, say("quantize.missing"))]


def settings(kind: str, dtype: torch.dtype) -> Any:
    """Returns transformers' settings for quantising; ``dtype`` is the type of the arithmetic.
    Raises SpecError without bitsandbytes.
    """
    missing = missing_package("model.quantize")
    if missing:
        raise SpecError(missing)
    from transformers import BitsAndBytesConfig

    # It warns that a kernel for CPUs, which we do not use, cannot be fetched.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def placed(
    kind: str, dtype: torch.dtype, device: torch.device, *, whole: tuple[str, ...] = ()
) -> dict[str, object]:
    """Returns what ``from_pretrained`` takes to quantise the linear layers while loading, except
    parts named in ``whole``.
    """
    config = settings(kind, dtype)
    if whole:
        config.llm_int8_skip_modules = list(whole)
    return {"quantization_config": config, "device_map": {"": device}}


def layers(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Yields the quantised linear layers by full name."""
    import bitsandbytes as bnb

    kinds = (bnb.nn.Linear4bit, bnb.nn.Linear8bitLt)
    return ((name, part) for name, part in model.named_modules() if isinstance(part, kinds))


def make_steady(model: torch.nn.Module) -> None:
    """Makes evaluation on a CPU compute what training computes.

    On CPUs with AVX512-BF16, bitsandbytes packs NF4 weights anew at the first evaluation, for a
    kernel in bf16 that has no gradient: from then on training goes on without one below that layer,
    and silently. Its int8 layers round activations too, but on a CPU only in evaluation. Neither is
    used.
    """
    for _, layer in layers(model):
        if "support_avx512bf16_for_cpu" in vars(layer):
            layer.support_avx512bf16_for_cpu = False
        else:
            # The layer has no dropout; the flag only chooses the arithmetic.
            layer.register_forward_pre_hook(lambda part, _: part.train() and None)


def dequantised(layer: Any) -> torch.Tensor:
    """Computes the fp32 weight [out, in] that a quantised layer represents."""
    import torch
    from bitsandbytes.functional import dequantize_4bit

    weight = layer.weight
    if weight.dtype == torch.int8:
        # Scale and codes move from the weight to the layer's state at the first forward.
        scale = weight.SCB if weight.SCB is not None else layer.state.SCB
        return weight.data.float() * (scale.float() / 127)[:, None]
    return dequantize_4bit(weight.data, weight.quant_state).float()


def quantise_again(layer: Any, weight_OI: torch.Tensor) -> None:
    """Gives a layer the NF4 version of ``weight_OI``: packed where it holds packed weights, else
    its value.
    """
    import bitsandbytes as bnb
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    options: dict[str, Any] = {"compress_statistics": True, "quant_type": "nf4"}
    device = layer.weight.device
    if isinstance(layer, bnb.nn.Linear4bit):
        old: Any = layer.weight
        stored = weight_OI.to(old.quant_state.dtype).cpu().contiguous()
        packed: Any = bnb.nn.Params4bit  # whose types do not tell of ``__new__``
        layer.weight = packed(stored, requires_grad=False, module=layer, **options).to(device)
    else:
        layer.weight.data.copy_(
            dequantize_4bit(*quantize_4bit(weight_OI.to(device).contiguous(), **options))
        )


def make_plain(model: torch.nn.Module) -> torch.nn.Module:
    """Replaces the quantised layers of ``model`` by plain fp32 layers with the same, rounded,
    weights.
    """
    import torch

    for name, layer in list(layers(model)):
        plain = torch.nn.Linear(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            device=layer.weight.device,
        )
        plain.weight = torch.nn.Parameter(dequantised(layer), requires_grad=False)
        if layer.bias is not None:
            plain.bias = torch.nn.Parameter(layer.bias.data.float(), requires_grad=False)
        parent, _, name_of_layer = name.rpartition(".")
        model.get_submodule(parent).register_module(name_of_layer, plain)
    # What transformers noted of the quantisation would be written into config.json, and refuses a
    # change of type.
    model.hf_quantizer.remove_quantization_config(model)  # type: ignore[union-attr, operator]
    for name in ("is_loaded_in_4bit", "is_loaded_in_8bit"):
        vars(model).pop(name, None)
    return model.float()


def count(parameter: torch.nn.Parameter) -> int:
    """Counts the weights in ``parameter``; NF4 packs two of them into a byte."""
    state = vars(parameter).get("quant_state")
    return parameter.numel() if state is None else state.shape.numel()
