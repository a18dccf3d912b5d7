"""Amounts of time and memory as people type them."""

from __future__ import annotations

import re

from tunesmith.errors import Problem, SpecError
from tunesmith.words import say

SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """Reads ``90s``, ``30m``, ``1.5h`` or ``2d``; raises SpecError for anything else."""
    read = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)\s*", text)
    if read is None or float(read[1]) == 0:
        raise SpecError(Problem("budget", say("auto.no_time", value=text)))
    return float(read[1]) * SECONDS[read[2]]


def gib_of(text: str) -> float:
    """Reads ``16GiB``, ``16GB`` or ``16`` as GiB; raises SpecError for anything else."""
    read = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:g|gb|gib)?\s*", text, re.IGNORECASE)
    if read is None or float(read[1]) == 0:
        raise SpecError(Problem("memory", say("auto.no_memory", value=text)))
    return float(read[1])


def told_time(seconds: float) -> str:
    """Writes seconds as a person says them: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
