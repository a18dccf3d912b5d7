"""Weights as whole numbers and scales: to the nearest, or by GPTQ."""

from __future__ import annotations

from dataclasses import dataclass

import torch

BLOCK = 128
"""Columns that GPTQ rounds before the rest is corrected at once."""
DAMPING = 0.01
"""Of the mean of the diagonal, added to it, so that it can be inverted; GPTQ's own (Frantar et al.
2022, section 3).
"""


@dataclass(frozen=True)
class Codes:
    """A weight [O, I] as codes [O, I], whole numbers from -2^(bits-1) to 2^(bits-1) - 1 or values
    of an 8-bit float, and scales [O, groups] in bf16.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    bits: int
    floating: bool = False

    @property
    def weight(self) -> torch.Tensor:
        """The weight [O, I] that they stand for, in fp32."""
        width = self.codes.shape[1] // self.scales.shape[1]
        return self.codes * self.scales.float().repeat_interleave(width, 1)


def scales_of(weight_OI: torch.Tensor, bits: int, group: int) -> torch.Tensor:
    """Computes a scale for each group of ``group`` inputs from the largest weight in it. They are
    rounded to bf16 before any code is: codes for other scales would be wrong.
    """
    groups = weight_OI.reshape(weight_OI.shape[0], -1, group)
    # A group of zeros would be divided by 0.
    largest = groups.abs().amax(-1).clamp(min=1e-9)
    # Half the range of the codes, which goes one further down than up; as compressed-tensors.
    return (largest / (2 ** (bits - 1) - 0.5)).to(torch.bfloat16)


def nearest(weight_OI: torch.Tensor, bits: int, group: int) -> Codes:
    """Rounds each weight to the nearest code."""
    scales = scales_of(weight_OI, bits, group)
    each = scales.float().repeat_interleave(group, 1)
    return Codes(_code(weight_OI, each, bits), scales, bits)


def nearest_fp8(weight_OI: torch.Tensor) -> Codes:
    """Rounds each weight to the nearest fp8 (e4m3) under one scale for each output."""
    most = torch.finfo(torch.float8_e4m3fn).max
    scales = (weight_OI.abs().amax(1, keepdim=True).clamp(min=1e-9) / most).to(torch.bfloat16)
    values = (weight_OI / scales.float()).clamp(-most, most)
    return Codes(values.to(torch.float8_e4m3fn).float(), scales, 8, floating=True)


def gptq(weight_OI: torch.Tensor, hessian_II: torch.Tensor, bits: int, group: int) -> Codes:
    """Rounds column by column, and corrects the columns that are left for the error made, so that
    the outputs on the calibration rows change least (Frantar et al. 2022, algorithm 1).

    The columns with the largest inputs come first; the groups stay those of the stored order, so
    that no reader must know of it.
    """
    scales = scales_of(weight_OI, bits, group)
    each_OI = scales.float().repeat_interleave(group, 1)
    order = hessian_II.diagonal().argsort(descending=True)
    left = weight_OI[:, order].clone()
    inverse = _inverse_root(hessian_II[order][:, order])
    codes = torch.empty_like(left)
    width = left.shape[1]
    for start in range(0, width, BLOCK):
        end = min(start + BLOCK, width)
        errors = torch.zeros_like(left[:, start:end])
        for column in range(start, end):
            scale_O = each_OI[:, order[column]]
            codes[:, column] = _code(left[:, column], scale_O, bits)
            error = left[:, column] - codes[:, column] * scale_O
            error /= inverse[column, column]
            left[:, column:end] -= error[:, None] * inverse[column, column:end]
            errors[:, column - start] = error
        left[:, end:] -= errors @ inverse[start:end, end:]
    return Codes(codes[:, order.argsort()], scales, bits)


def _inverse_root(hessian_II: torch.Tensor) -> torch.Tensor:
    """Computes the upper Cholesky factor of the inverse of the damped Hessian; an input that is
    always zero counts as one that is seldom there.
    """
    diagonal = hessian_II.diagonal()
    damped = hessian_II + torch.diag(torch.full_like(diagonal, DAMPING * float(diagonal.mean())))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)


def _code(weight: torch.Tensor, scale: torch.Tensor, bits: int) -> torch.Tensor:
    most = 2 ** (bits - 1)
    return (weight / scale).round().clamp(-most, most - 1)
