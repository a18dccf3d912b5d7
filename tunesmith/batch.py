"""Tokens, Batch (a forest of segments), Loss and Ratio: all that a model and an objective exchange.

Suffixes: B sequences, T tokens, N scored tokens, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

# Hanging a sequence from a shared segment costs an attention call and a gather; below this many
# shared tokens it costs more than computing them again.
SHORTEST_SHARED = 8


@dataclass(frozen=True)
class Tokens:
    """One rendered sequence. ``weights_T[t]`` is the weight of predicting ``ids_T[t]`` from ``ids_T[:t]``; 0 is context."""

    ids_T: np.ndarray
    weights_T: np.ndarray
    columns: dict[str, Any] = field(default_factory=dict)
    """What else an objective needs: names ending in ``_T`` hold a value a token, others one value a sequence."""

    def __len__(self) -> int:
        return len(self.ids_T)

    @property
    def scored(self) -> int:
        """Number of tokens with a weight; the first token of a sequence is never scored."""
        return int(np.count_nonzero(self.weights_T[1:]))


@dataclass(frozen=True)
class Segment:
    """Tokens ``start`` to ``stop`` of the flat row, hanging from segment ``parent`` (-1: a root), at ``depth``."""

    start: int
    stop: int
    parent: int
    depth: int


@dataclass(frozen=True, eq=False)
class Forest:
    """The segments of one flat row. ``cache`` holds what attention derives from them, for one call of the model."""

    segments: tuple[Segment, ...]
    cache: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """A sum and the count it is over; ratios add, so averages stay right over micro-batches and ranks."""

    sum: float
    count: float

    def __add__(self, other: Ratio) -> Ratio:
        return Ratio(self.sum + other.sum, self.count + other.count)

    @property
    def value(self) -> float:
        """The average, nan over nothing."""
        return self.sum / self.count if self.count else float("nan")


@dataclass
class Loss:
    """``total`` is a sum over the batch's units, never a mean."""

    total: torch.Tensor
    metrics: dict[str, Ratio] = field(default_factory=dict)
