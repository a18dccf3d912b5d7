"""ROUGE-2 (Lin 2004); Chinese and Japanese by characters."""

from __future__ import annotations

from tunesmith.metrics import METRICS
from tunesmith.metrics._rouge import RougeN


@METRICS.register
class Rouge2(RougeN):
    """How many pairs of neighbouring words (Chinese: characters) answer and reference share, 0 to
    1.
    """

    size = 2
