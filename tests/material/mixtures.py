"""Tiny mixtures of experts that train their router."""

from __future__ import annotations

from typing import Any

from material.architectures import tiny
from tunesmith.models.loading.load import take_over_attention


def mixture(name: str) -> Any:
    model = tiny(name).requires_grad_(False)
    model.config.router_aux_loss_coef = 0.5
    model.router_aux_loss_coef = 0.5
    take_over_attention(model)
    return model
