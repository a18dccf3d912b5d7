"""The value head of PPO: from the hidden state that predicts a token to the reward that is expected
from there on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from tunesmith.models.loading.load import Loaded
from tunesmith.models.roles import ROLES, Role

if TYPE_CHECKING:
    from tunesmith.methods import Method


class ValueHead(torch.nn.Module):
    """A linear map to one number, in fp32, that begins with 0 everywhere (Huang et al. 2023)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, 1, dtype=torch.float32)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        """Computes values ``[N]``."""
        # Returns are small differences, for which bf16 is too coarse.
        with torch.autocast(hidden_ND.device.type, enabled=False):
            return self.linear(hidden_ND.float())[:, 0]


@ROLES.register
class Value(Role):
    """A head on the policy's hidden states, trained with it."""

    def model(self, policy: Loaded, method: Method) -> ValueHead:
        """Gives the head, on the policy's device."""
        weight = policy.model.get_output_embeddings().weight
        self.head = ValueHead(weight.shape[1]).to(weight.device)
        return self.head

    def trained(self) -> Iterable[tuple[str, torch.nn.Parameter]]:
        """Gives the head's weights."""
        return self.head.named_parameters()
