"""Mean reward of written answers, by the rewards that a run learned from."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class MeanReward(Metric):
    """What answers to held-out prompts are worth on average, by the run's own rewards."""

    reads = "worth"

    def score(self, prediction: float, reference: str) -> float:
        """Returns the reward itself."""
        return prediction
