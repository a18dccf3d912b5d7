"""Share of preference pairs whose chosen answer gained more than the rejected one: DPO's implicit
reward, log p - log p_base.

Rafailov et al. 2023, eq. 5. The base itself gains nothing on either side, which is a tie: it stands
at one half.
"""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class RewardAccuracy(Metric):
    """The share of preference pairs whose chosen answer gained more likelihood over the base than
    the rejected one.
    """

    reads = "reward"
    right_or_wrong = True

    def score(self, prediction: tuple[float, float], reference: str) -> float:
        """Scores 1, 0, or a half for a tie; ``prediction`` is the implicit reward (nats) of both
        answers, the chosen first.
        """
        gained, other = prediction
        return float((gained > other) + 0.5 * (gained == other))
