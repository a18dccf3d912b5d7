"""The number that a text comes to, in Western and in Chinese writing."""

from __future__ import annotations

import math
import re

from tunesmith.metrics import _chinese_number as chinese

_BOXED = re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_WESTERN = re.compile(
    r"(?<![A-Za-z0-9_.])([-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
    r"(?:\s*/\s*\d+(?:\.\d+)?)?(?:[eE][-+]?\d+)?\s*%?)"
    # 3千 and 3百万, and not 5千克, 5千米, 2百分点.
    r"(?:\s*((?:百(?!分)|千(?![克米瓦卡帕赫焦伏字])|[万亿])+))?"
)
_WIDE = str.maketrans("０１２３４５６７８９．－＋％／−", "0123456789.-+%/-")
_WIDE_THOUSANDS = re.compile(r"(?<=[０-９])，(?=[０-９]{3})")
"""Between other digits the wide comma divides a sentence: 12，345 are two numbers."""


def number_in(text: str) -> float | None:
    """Reads the last number of a text, one in ``\\boxed{}`` before others; 1,000 and 3/4 and 50%
    and 三十五 are one number each.
    """
    return next(iter(readings(text)), None)


def is_number(text: str) -> bool:
    """Tells whether a text is nothing but a number in Western digits."""
    return _WESTERN.fullmatch(text.translate(_WIDE).strip(" $¥￥")) is not None


def same_number(written: str, wanted: str, near: float = 1e-6) -> bool | None:
    """Tells whether two texts come to one number, but for the share ``near`` of it; None where
    ``wanted`` comes to none. 3万 may be 3 where the question asks in 万, and 30000 elsewhere; 50%
    may be 50 where it asks for percent. Where both have a unit, it counts.
    """
    right = readings(wanted)
    said = readings(written)
    if len(right) == len(said) == 2:
        right, said = right[1:], said[1:]
    return (
        any(
            math.isclose(value, right_value, rel_tol=near, abs_tol=1e-9)
            for value in said
            for right_value in right
        )
        if right
        else None
    )


def readings(text: str) -> list[float]:
    """Returns what the last number of a text may mean: 3万 is 3, and 30000 with its unit; 50% is a
    half, and 50 percent.
    """
    text = _WIDE_THOUSANDS.sub(",", text).translate(_WIDE).replace("{,}", ",").strip()
    boxed = _BOXED.findall(text)
    text = _FRACTION.sub(r"\1/\2", boxed[-1] if boxed else text)
    readings_at = [
        (match.start(), _western(match[1], match[2] or "")) for match in _WESTERN.finditer(text)
    ]
    readings_at += chinese.numbers(text)
    if not readings_at:
        return chinese.single(text)
    return max(readings_at)[1]


def _western(written: str, units: str) -> list[float]:
    whole = re.sub(r"[,\s]", "", written)
    share = 0.01 if whole.endswith("%") else 1.0
    above, slash, below = whole.removesuffix("%").partition("/")
    if slash and float(below) == 0:
        return []
    value = share * float(above) / (float(below) if slash else 1.0)
    if units:
        return [value, value * chinese.product(units)]
    return [value, 100 * value] if share < 1 else [value]
