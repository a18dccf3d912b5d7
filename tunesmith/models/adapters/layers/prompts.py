"""What gives virtual tokens while they are trained. Shapes: P virtual tokens, W numbers each."""

from __future__ import annotations

import torch
from torch import nn


class Table(nn.Module):
    """The numbers themselves."""

    def __init__(self, start_PW: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(start_PW)

    def forward(self) -> torch.Tensor:
        """Returns the table ``[P, W]``."""
        return self.weight


class Reparameterised(nn.Module):
    """``start + MLP(E)`` (Li & Liang 2021, section 4.3, eq. 7), E smaller than what it gives.

    The last layer begins at zero, so that training begins at ``start``; the paper has no ``start``.
    """

    def __init__(self, start_PW: torch.Tensor, hidden: int, width: int) -> None:
        super().__init__()
        count, out = start_PW.shape
        self.register_buffer("start", start_PW)
        self.embedding = nn.Parameter(torch.randn(count, width))
        self.inner, self.last = nn.Linear(width, hidden), nn.Linear(hidden, out)
        _zero(self.last)

    def forward(self) -> torch.Tensor:
        """Returns the vectors ``[P, W]``."""
        return self.get_buffer("start") + self.last(torch.tanh(self.inner(self.embedding)))


class Recurrent(nn.Module):
    """``start + MLP(LSTM(E))``, both directions (Liu et al. 2021, P-tuning, eq. 4), or without the
    LSTM.

    The last layer begins at zero, so that training begins at ``start``; the paper has no ``start``.
    """

    def __init__(self, start_PW: torch.Tensor, hidden: int, *, lstm: bool) -> None:
        super().__init__()
        count, width = start_PW.shape
        self.register_buffer("start", start_PW)
        self.embedding = nn.Parameter(torch.randn(count, width))
        self.lstm = (
            nn.LSTM(width, hidden // 2, num_layers=2, bidirectional=True, batch_first=True)
            if lstm
            else None
        )
        self.inner, self.last = (
            nn.Linear(hidden if lstm else width, hidden),
            nn.Linear(hidden, width),
        )
        _zero(self.last)

    def forward(self) -> torch.Tensor:
        """Returns the vectors ``[P, W]``."""
        given = (
            self.embedding
            if self.lstm is None
            else self.lstm(self.embedding.unsqueeze(0))[0].squeeze(0)
        )
        return self.get_buffer("start") + self.last(torch.relu(self.inner(given)))


def _zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
