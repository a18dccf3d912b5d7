"""The number that a text comes to."""

from __future__ import annotations

import re

_BOXED = re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+(?:\.\d+)?)?(?:[eE][-+]?\d+)?\s*%?"
)
_WIDE = str.maketrans("０１２３４５６７８９．，－＋％／−", "0123456789.,-+%/-")


def number_in(text: str) -> float | None:
    """Reads the last number of a text, one in ``\\boxed{}`` before others; 1,000 and 3/4 and 50%
    are one number each.
    """
    text = text.translate(_WIDE)
    boxed = _BOXED.findall(text)
    text = _FRACTION.sub(r"\1/\2", boxed[-1] if boxed else text)
    found = _NUMBER.findall(text)
    if not found:
        return None
    whole = found[-1].replace(",", "").replace(" ", "")
    share = 0.01 if whole.endswith("%") else 1.0
    above, slash, below = whole.removesuffix("%").partition("/")
    if slash and float(below) == 0:
        return None
    return share * float(above) / (float(below) if slash else 1.0)
