"""What answers are worth: all rewards of a run with their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.rollout.scoring import Asked, Scorer


@dataclass(frozen=True)
class Rewarded:
    """The rewards of some answers; nan where one abstained. n answers, R rewards."""

    sums_n: np.ndarray
    """Weighted; nan where all abstained."""
    table_nR: np.ndarray
    faults: list[str]
    """What went wrong, with the row."""


class Rewarding:
    """The rewards of a run; in ``names`` one that is there twice is numbered."""

    def __init__(self, rewards: Sequence[Any], weights: Sequence[float], timeout: float) -> None:
        self.weights_R = np.array(weights or [1.0] * len(rewards))
        seen: Counter[str] = Counter()
        self.names: list[str] = []
        for reward in rewards:
            seen[reward.name] += 1
            again = seen[reward.name] > 1
            self.names.append(f"{reward.name}-{seen[reward.name]}" if again else reward.name)
        self._scorer = Scorer(rewards, timeout)

    def begin(self) -> None:
        """SpecError where a reward does not load."""
        self._scorer.begin()

    def close(self) -> None:
        """Ends the process of the rewards; they begin again when they are asked."""
        self._scorer.close()

    def __call__(self, asked: Sequence[Asked]) -> Rewarded:
        """What each answer is worth."""
        values, faults = self._scorer.scores(asked)
        table_nR = np.array(values, dtype=float).reshape(len(asked), len(self.names))
        silent_n = np.isnan(table_nR).all(1)
        sums_n = np.where(silent_n, np.nan, np.nansum(table_nR * self.weights_R, 1))
        return Rewarded(sums_n, table_nR, [f"{one.row}: {one.text}" for one in faults])

    def means(self, rewarded: Rewarded) -> dict[str, float]:
        """The mean of the sum, and of each reward where there are several; those that abstained
        left out, without a value where all did.
        """
        parts = dict(zip(self.names, rewarded.table_nR.T, strict=True))
        named = {"reward": rewarded.sums_n} | {
            f"reward/{name}": values for name, values in parts.items() if len(parts) > 1
        }
        known = {name: values[~np.isnan(values)] for name, values in named.items()}
        return {name: float(values.mean()) for name, values in known.items() if len(values)}
