"""How much an answer says again: seq-rep-4 (Welleck et al. 2020, section 6)."""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric, words

SIZE = 4  # the n of seq-rep-n


@METRICS.register
class Repetition(Metric):
    """The share of an answer's sequences of four words (Chinese: characters) that stand in it
    before, the mean over the rows; 0 repeats nothing.
    """

    higher = False

    def score(self, prediction: str, reference: str) -> float:
        """Computes the share between 0 and 1; 0 for an answer of fewer words."""
        said = words(prediction)
        sequences = [tuple(said[at : at + SIZE]) for at in range(len(said) - SIZE + 1)]
        return 1 - len(set(sequences)) / len(sequences) if sequences else 0.0
