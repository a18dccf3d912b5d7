"""Share of preference pairs whose chosen answer the model finds likelier, per token, so that length
does not decide.
"""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric


@METRICS.register
class PairAccuracy(Metric):
    """The share of preference pairs whose chosen answer the model finds likelier per token than the
    rejected one.
    """

    reads = "pair"
    right_or_wrong = True

    def score(self, prediction: tuple[float, float], reference: str) -> float:
        """Scores 1, 0, or a half for a tie; ``prediction`` is the log-probability per token (nats)
        of both answers, the chosen first.
        """
        chosen, rejected = prediction
        return 0.5 if chosen == rejected else float(chosen > rejected)
