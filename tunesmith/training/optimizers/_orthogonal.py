"""The torch optimizer behind muon; apart from it because torch is imported at the top."""

from __future__ import annotations

from typing import Any

import torch

# Coefficients of the quintic that brings singular values close to 1 (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix: torch.Tensor, iterations: int) -> torch.Tensor:
    """Approximates the nearest semi-orthogonal matrix: singular values end between 0.7 and 1.2."""
    a, b, c = QUINTIC
    x = matrix.to(torch.bfloat16 if matrix.is_cuda else torch.float32)
    tall = x.shape[0] > x.shape[1]
    # The product below is then of the shorter side.
    x = x.T if tall else x
    # The quintic needs singular values of at most 1, and none is larger than the norm.
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Orthogonal(torch.optim.Optimizer):
    """Muon for the groups marked ``orthogonal``, AdamW (betas 0.9, 0.999) for the others."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        learning_rate: float,
        momentum: float,
        iterations: int,
    ) -> None:
        super().__init__(
            groups, {"lr": learning_rate, "momentum": momentum, "iterations": iterations}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Updates every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                    update = (
                        self._matrix(parameter, group)
                        if group["orthogonal"]
                        else self._adam(parameter)
                    )
                    parameter.add_(update, alpha=-group["lr"])

    def _matrix(self, parameter: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        state = self.state[parameter]
        gradient = parameter.grad
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].mul_(group["momentum"]).add_(gradient)
        update = gradient.add(state["momentum"], alpha=group["momentum"])  # type: ignore[union-attr]
        # The size of an update of AdamW, so that both parts take one rate (Liu et al. 2025).
        return orthogonalised(update, group["iterations"]) * (0.2 * max(parameter.shape) ** 0.5)

    def _adam(self, parameter: torch.Tensor) -> torch.Tensor:
        state = self.state[parameter]
        gradient = parameter.grad
        if not state:
            state |= {
                "step": 0,
                "first": torch.zeros_like(parameter),
                "second": torch.zeros_like(parameter),
            }
        state["step"] += 1
        state["first"].lerp_(gradient, 0.1)
        state["second"].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        first = state["first"] / (1 - 0.9 ** state["step"])
        second = state["second"] / (1 - 0.999 ** state["step"])
        return first / (second.sqrt() + 1e-8)
