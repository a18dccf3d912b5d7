"""Which weights of a matrix become zero: the smallest scores of each row, or two of four."""

from __future__ import annotations

import torch

from tunesmith.errors import Problem
from tunesmith.words import say


def smallest(scores_OI: torch.Tensor, share: float) -> torch.Tensor:
    """Marks [O, I] the ``share`` of the weights of each output that have the smallest scores."""
    count = round(share * scores_OI.shape[1])
    marked = torch.zeros_like(scores_OI, dtype=torch.bool)
    return marked.scatter_(1, scores_OI.argsort(1)[:, :count], True)


def two_of_four(scores_OI: torch.Tensor) -> torch.Tensor:
    """Marks [O, I] the two with the smallest scores of every four weights that follow each other,
    which sparse kernels of Ampere and later skip.
    """
    fours = scores_OI.reshape(-1, 4)
    return smallest(fours, 0.5).reshape(scores_OI.shape)


def zero(layer: torch.nn.Linear, scores_OI: torch.Tensor, share: float, pattern: str | None) -> int:
    """Sets the weights with the smallest scores to zero; returns their number."""
    marked = two_of_four(scores_OI) if pattern else smallest(scores_OI, share)
    layer.weight.data.masked_fill_(marked, 0)
    return int(marked.sum())


def refused_pattern(model: torch.nn.Module, share: float, pattern: str | None) -> list[Problem]:
    """Returns a problem where two of four are asked for with another share than a half, or a layer
    does not divide into fours.
    """
    from tunesmith.export.rounding.layers import rounded_layers

    if pattern is None:
        return []
    if share != 0.5:
        return [Problem("prune.share", say("prune.half", share=share))]
    widths = {layer.in_features for layer in rounded_layers(model).values()}
    odd = sorted(width for width in widths if width % 4)
    shown = ", ".join(map(str, odd))
    return [Problem("prune.how.pattern", say("prune.no_fours", widths=shown))] if odd else []


def zeros_told(zeros: int, weights: int) -> str:
    """Says how many weights are zero now, and what that is worth."""
    return say("prune.zeros", share=f"{zeros / max(weights, 1):.1%}", weights=f"{weights:,}")
