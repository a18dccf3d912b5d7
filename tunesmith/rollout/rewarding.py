"""What answers are worth: all rewards of a run with their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.data.items import Item
from tunesmith.rewards import Asked
from tunesmith.rollout.scoring import Scorer


@dataclass(frozen=True)
class Rewarded:
    """The rewards of some answers; nan where one abstained. n answers, R rewards."""

    sums_n: np.ndarray
    """Weighted; nan where all abstained."""
    table_nR: np.ndarray
    """As the rewards gave them."""
    faults: list[str]
    """What went wrong, with the row."""


def asked_of(item: Item, completion: str) -> Asked:
    """Returns an answer to a prompt in the form that rewards see."""
    row, turns = item.tokens[0].columns["row"], item.tokens[0].columns["turns"]
    return Asked(item.id, str(row.get("question", "")), completion, row, turns)


def unseen_of(source: Any) -> Rewarding:
    """Makes the rewards of a source of sampled answers that only a proof asks."""
    return Rewarding(source.prove_by, (), source.timeout, "source.prove_by")


class Rewarding:
    """The rewards of a run; in ``names`` one that is there twice is numbered."""

    def __init__(
        self,
        rewards: Sequence[Any],
        weights: Sequence[float],
        timeout: float,
        where: str = "source.rewards",
    ) -> None:
        self.weights_R = np.array(weights or [1.0] * len(rewards))
        self.shift_R, self.scale_R = np.zeros(len(rewards)), np.ones(len(rewards))
        seen: Counter[str] = Counter()
        self.names: list[str] = []
        for reward in rewards:
            seen[reward.name] += 1
            again = seen[reward.name] > 1
            self.names.append(f"{reward.name}-{seen[reward.name]}" if again else reward.name)
        self._scorer = Scorer(rewards, timeout, where)
        self.calibrated_R = np.array(
            [reward.calibrated for reward in self._scorer.rewards], dtype=bool
        )

    def check(self) -> None:
        """Raises SpecError where a reward could not load."""
        self._scorer.check()

    def close(self) -> None:
        """Ends the process of the rewards; they begin again when they are asked."""
        self._scorer.close()

    def __call__(self, asked: Sequence[Asked]) -> Rewarded:
        """Rewards each answer."""
        values, faults = self._scorer.scores(asked)
        table_nR = np.array(values, dtype=float).reshape(len(asked), len(self.names))
        texts = [f"{fault.row}: {fault.text}" for fault in faults]
        return Rewarded(self.sums(table_nR), table_nR, texts)

    def sums(self, table_nR: np.ndarray) -> np.ndarray:
        """Computes [n] the weighted sum of each answer's rewards, with calibration for those
        without a scale of their own; nan where all abstained.
        """
        silent_n = np.isnan(table_nR).all(1)
        scaled_nR = (table_nR - self.shift_R) / self.scale_R
        # A reward that abstained adds nothing; only where all did is there no sum.
        return np.where(silent_n, np.nan, np.nansum(scaled_nR * self.weights_R, 1))

    def calibrate(self, table_nR: np.ndarray) -> None:
        """Gives these answers mean 0 and standard deviation 1 by each reward that has no scale of
        its own (Huang et al. 2024, detail 12): what was learned from pairs is only differences.
        """
        for column in np.flatnonzero(self.calibrated_R):
            values = table_nR[~np.isnan(table_nR[:, column]), column]
            if len(values) > 1 and values.max() > values.min():
                self.shift_R[column], self.scale_R[column] = values.mean(), values.std(ddof=1)

    def means(self, rewarded: Rewarded) -> dict[str, float]:
        """Averages the sum, and each reward, uncalibrated, where there are several or one is
        calibrated; those that abstained are left out, without a value where all did.
        """
        parts = dict(zip(self.names, rewarded.table_nR.T, strict=True))
        apart = len(parts) > 1 or bool(self.calibrated_R.any())
        named = {"reward": rewarded.sums_n} | {
            f"reward/{name}": values for name, values in parts.items() if apart
        }
        given_by = {name: values[~np.isnan(values)] for name, values in named.items()}
        return {name: float(values.mean()) for name, values in given_by.items() if len(values)}

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {"shift": self.shift_R.tolist(), "scale": self.scale_R.tolist()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``."""
        self.shift_R, self.scale_R = np.array(state["shift"]), np.array(state["scale"])
