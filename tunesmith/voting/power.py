"""How many votes show what: known before the first one, so that nobody votes for nothing."""

from __future__ import annotations

import math

from tunesmith.proving.statistics import POWER


def votes_needed(share: float) -> int:
    """Counts the decisive votes by which a contender that wins this share of them is told from an
    equal one, 8 times in 10 (two-sided, 5 %).
    """
    return math.ceil((POWER * 0.5 / abs(share - 0.5)) ** 2)


def share_shown(votes: int) -> float | None:
    """Computes the smallest share of wins, above a half, that so many decisive votes show 8 times
    in 10; None where the sign test shows nothing though one contender wins them all.
    """
    if 2 * 0.5**votes > 0.05:
        return None
    return min(1.0, 0.5 + POWER * 0.5 / math.sqrt(votes))
