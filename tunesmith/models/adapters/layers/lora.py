"""A LoRA layer as one function: W x + s B A x with the sums inside the matrix products, forwards
and backwards.

peft's own layer passes over the layer's whole output for the scale, for the sum, and again for the
gradient of each. T tokens, R rank, I inputs, O outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear as PeftLinear

from tunesmith.models.structure.divided import is_divided


class FusedLinear(PeftLinear):
    """peft's layer, computed in one go where nothing but its change is trained; everything else it
    does is peft's.
    """

    def forward(self, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        """Returns the layer's output ``[…, O]`` for ``[…, I]``; computed as peft does where the
        adapter is off, merged, or, without autocast, in another type.
        """
        adapters = self.active_adapters
        single = len(adapters) == 1 and adapters[0] in self.lora_A
        divided = is_divided(self.base_layer.weight)  # its parts meet around peft's layer
        if options or not single or self.disable_adapters or self.merged or divided:
            return super().forward(x, *args, **options)
        name = adapters[0]
        base = self.base_layer
        down = self.lora_A[name].weight
        up = self.lora_B[name].weight
        kind = x.device.type
        # Under autocast the base's type is that of the arithmetic: the small matrices are cast to
        # it, the large one never, which would be kept for the backward.
        mixed = torch.is_autocast_enabled(kind)
        fits = torch.get_autocast_dtype(kind) if mixed else x.dtype
        if (
            any(weight.requires_grad for weight in base.parameters())
            or base.weight.dtype != fits
            or not (mixed or down.dtype == fits)
        ):
            return super().forward(x, *args)
        with torch.autocast(kind, enabled=False):
            return _Lora.apply(x, base.weight, base.bias, down, up, self.scaling[name])  # type: ignore[return-value]


def fuse(model: torch.nn.Module) -> None:
    """Makes every plain LoRA layer of a peft model a FusedLinear; its weights and their names
    stay.
    """
    for part in model.modules():
        if type(part) is PeftLinear and _is_plain(part):
            part.__class__ = FusedLinear


def _is_plain(layer: PeftLinear) -> bool:
    base = layer.base_layer
    no_dropout = all(
        isinstance(dropout, torch.nn.Identity) for dropout in layer.lora_dropout.values()
    )
    return (
        type(base) is torch.nn.Linear
        and no_dropout
        and not layer.lora_variant
        and not any(layer.lora_bias.values())
    )


class _Lora(torch.autograd.Function):
    """Hu et al. 2021, eq. 3, with a frozen W, in W's type; each gradient has its tensor's."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight_OI: torch.Tensor,
        bias_O: torch.Tensor | None,
        *change: Any,
    ) -> torch.Tensor:
        kind = weight_OI.dtype
        scale = change[2]
        ctx.types = x.dtype, change[0].dtype, change[1].dtype
        down_RI = change[0].to(kind)
        up_OR = change[1].to(kind)
        x_TI = x.reshape(-1, x.shape[-1]).to(kind)
        low_TR = x_TI @ down_RI.T
        out_TO = torch.nn.functional.linear(x_TI, weight_OI, bias_O).addmm_(
            low_TR, up_OR.T, alpha=scale
        )
        ctx.save_for_backward(x_TI, weight_OI, down_RI, up_OR, low_TR)
        ctx.shape, ctx.scale = x.shape, scale
        return out_TO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[object, ...]:
        x_TI, weight_OI, down_RI, up_OR, low_TR = ctx.saved_tensors
        grad_TO = outputs[0].reshape(-1, weight_OI.shape[0])
        low_grad_TR = (grad_TO @ up_OR).mul_(ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad_TO @ weight_OI).addmm_(low_grad_TR, down_RI).view(ctx.shape)
            grad_x = grad_x.to(ctx.types[0])
        grad_down = (low_grad_TR.T @ x_TI).to(ctx.types[1])
        grad_up = (grad_TO.T @ low_TR).to(ctx.types[2]).mul_(ctx.scale)
        return grad_x, None, None, grad_down, grad_up, None
