"""Mean reward of written answers, by rewards that nothing was trained on."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class UnseenReward(Metric):
    """What answers to held-out prompts are worth on average, by the rewards of
    ``source.prove_by``.
    """

    reads = "unseen"

    def score(self, prediction: float, reference: str) -> float:
        """Returns the reward itself."""
        return prediction
