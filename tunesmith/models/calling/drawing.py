"""Draws tokens by inverting their cumulative distribution: which one comes follows from one random
number alone, not from what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def drawn(logprobs_BV: torch.Tensor, uniform: Sequence[float]) -> torch.Tensor:
    """Returns the tokens ``[B, 1]`` at these random numbers in [0, 1), one a row; the
    log-probabilities need not add up to one.
    """
    # In fp64: the sums of 50 000 small shares lose digits, and MPS has no fp64.
    exact_BV = (logprobs_BV.cpu() if logprobs_BV.is_mps else logprobs_BV).double()
    below_BV = exact_BV.exp().cumsum(-1)
    uniform_B = torch.tensor(uniform, dtype=torch.float64)
    wanted_B1 = (uniform_B.to(below_BV.device) * below_BV[:, -1])[:, None]
    return torch.searchsorted(below_BV, wanted_B1, right=True).clamp(max=below_BV.shape[1] - 1)
