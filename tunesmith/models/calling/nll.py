"""The negative log-likelihood of targets with one copy of the logits: torch's own holds three, most
of its time their memory.

Shapes: n rows, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch


def nll(logits_nV: torch.Tensor, targets_n: torch.Tensor) -> torch.Tensor:
    """Computes ``-log softmax(logits)`` at the targets ``[n]`` (nats), ``cross_entropy`` without a
    reduction; its backward runs once.
    """
    return _Nll.apply(logits_nV, targets_n)  # type: ignore[return-value]


class _Nll(torch.autograd.Function):
    """log Σ exp(z) − z at the target; the gradient is softmax(z) less one there."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, logits_nV: torch.Tensor, targets_n: torch.Tensor
    ) -> torch.Tensor:
        targets_n1 = targets_n.unsqueeze(1)
        # The largest exponent becomes 0, so that no sum overflows.
        peaks_n1 = logits_nV.amax(1, keepdim=True)
        exps_nV = (logits_nV - peaks_n1).exp_()
        sums_n1 = exps_nV.sum(1, keepdim=True)
        ctx.save_for_backward(exps_nV, sums_n1, targets_n1)
        return (sums_n1.log() + peaks_n1 - logits_nV.gather(1, targets_n1)).squeeze(1)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[object, ...]:
        exps_nV, sums_n1, targets_n1 = ctx.saved_tensors
        grad_n1 = outputs[0].unsqueeze(1)
        # In place: autograd refuses a second backward, whose numbers would be wrong.
        grad_nV = exps_nV.mul_(grad_n1 / sums_n1)
        return grad_nV.scatter_(1, targets_n1, grad_nV.gather(1, targets_n1) - grad_n1), None
