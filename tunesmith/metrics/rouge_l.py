"""ROUGE-L: F1 of the longest common subsequence of words (Lin 2004); Chinese and Japanese by
characters.
"""

from __future__ import annotations

from tunesmith.metrics import METRICS, Metric, words


@METRICS.register
class RougeL(Metric):
    """How much of the reference the answer gives in the same order of words (Chinese: characters),
    0 to 1.
    """

    def score(self, prediction: str, reference: str) -> float:
        """Computes ROUGE-L between 0 and 1; equal to rouge_score's rougeL without stemming, with
        ``words`` as its tokenizer.
        """
        written = words(prediction)
        wanted = words(reference)
        common = common_length(wanted, written)
        return 2 * common / (len(written) + len(wanted)) if common else 0.0


def common_length(first: list[str], second: list[str]) -> int:
    """Computes the length of the longest common subsequence, bit-parallel (Hyyrö 2004): one step an
    item of ``second``.
    """
    places: dict[str, int] = {}
    for index, item in enumerate(first):
        places[item] = places.get(item, 0) | (1 << index)
    row = mask = (1 << len(first)) - 1
    for item in second:
        matched = row & places.get(item, 0)
        row = ((row + matched) | (row - matched)) & mask
    return bin(mask & ~row).count("1")
