"""An orthogonal change of a layer's inputs in butterfly factors (Liu et al. 2024, BOFT, section 4),
without permutation matrices.

I inputs, O outputs, M factors, blocks of side b, N = I / b blocks a factor, A = b (b - 1) / 2
angles a block.
"""

from __future__ import annotations

from typing import Any

import torch

from tunesmith.models.adapters.layers.hooked import HookedLayer


class Butterfly(HookedLayer):
    """``s ∘ W Rᵀ x`` with R the product of M factors; s scales outputs. Factor i rotates blocks of
    halves that lie 2ⁱ apart.
    """

    def __init__(
        self, inputs: int, outputs: int, *, block: int, factors: int, device: torch.device
    ) -> None:
        super().__init__()
        self.block = block
        angles = block * (block - 1) // 2
        self.angles_MNA = torch.nn.Parameter(
            torch.zeros(factors, inputs // block, angles, device=device)
        )
        self.scale_O = torch.nn.Parameter(torch.ones(outputs, device=device))
        self._hooks: list[Any] = []

    def beside(self, layer: torch.nn.Module) -> None:
        """Puts the rotations before and behind ``layer``."""
        layer.add_module("butterfly", self)
        self._hooks = [
            layer.register_forward_pre_hook(self._before),
            layer.register_forward_hook(self._after),
        ]

    def blocks(self) -> torch.Tensor:
        """Computes the rotated blocks ``[M, N, b, b]`` in fp32: (I − S)(I + S)⁻¹ of skew-symmetric
        S, the Cayley transform.
        """
        with torch.autocast(self.angles_MNA.device.type, enabled=False):
            rows, columns = torch.triu_indices(
                self.block, self.block, 1, device=self.angles_MNA.device
            )
            half = self.angles_MNA.new_zeros(*self.angles_MNA.shape[:2], self.block, self.block)
            half[..., rows, columns] = self.angles_MNA
            skew = half - half.mT
            identity = torch.eye(self.block, device=skew.device)
            return torch.linalg.solve(identity + skew, identity - skew, left=False)

    def rotated(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns ``x R`` for ``[…, I]``, in its type."""
        blocks = self.blocks().to(inputs.dtype)
        for index in reversed(range(len(blocks))):
            apart = 2**index
            pairs = inputs.unflatten(-1, (-1, 2, apart, self.block // 2)).transpose(-3, -2)
            turned = torch.einsum(
                "...nb,nbc->...nc", pairs.reshape(*inputs.shape[:-1], -1, self.block), blocks[index]
            )
            inputs = turned.reshape(pairs.shape).transpose(-3, -2).reshape(inputs.shape)
        return inputs

    @torch.no_grad()
    def fold(self, layer: Any) -> None:
        """Folds the change into the layer's weights, and removes itself."""
        from transformers.pytorch_utils import Conv1D

        weight_OI = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
        # W Rᵀ: each row of W is turned back, and R is orthogonal.
        matrix = self.rotated(torch.eye(weight_OI.shape[1], device=weight_OI.device))
        changed = self.scale_O.unsqueeze(1) * (weight_OI.float() @ matrix.T)
        layer.weight.copy_(changed.T if isinstance(layer, Conv1D) else changed)
        for hook in self._hooks:
            hook.remove()
        del layer.butterfly

    def _before(
        self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...] | None:
        return (self.rotated(inputs[0]), *inputs[1:]) if self.on else None

    def _after(self, layer: Any, _: object, output: torch.Tensor) -> torch.Tensor:
        if not self.on:
            return output
        scale = self.scale_O.to(output.dtype)
        bias = layer.bias
        return output * scale if bias is None else (output - bias) * scale + bias
