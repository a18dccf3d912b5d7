"""The number that a text comes to, in Western and in Chinese writing."""

from __future__ import annotations

import math
import re

_BOXED = re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])([-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
    r"(?:\s*/\s*\d+(?:\.\d+)?)?(?:[eE][-+]?\d+)?\s*%?)\s*([万亿]*)"
)
_WIDE = str.maketrans("０１２３４５６７８９．，－＋％／−", "0123456789.,-+%/-")
_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
_ONE = f"[{''.join(_DIGITS)}]"
_SOME = f"[{''.join([*_DIGITS, *_TENS, *_MYRIADS])}]"
_CHINESE = re.compile(
    f"({_SOME}+)分之({_SOME}+)|负?{_SOME}+点{_ONE}+|负?{_SOME}{{2,}}|"
    # A single sign is mostly a part of a word (一起, 十分), unless it stands alone or what says a
    # number stands before it.
    f"^{_SOME}(?=\\W*$)|(?<=[是为得共有于=:：]){_SOME}"
)


def number_in(text: str) -> float | None:
    """Reads the last number of a text, one in ``\\boxed{}`` before others; 1,000 and 3/4 and 50%
    are one number each. Chinese numerals (三十五) are read where no digit stands.
    """
    return next(iter(readings(text)), None)


def same_number(written: str, wanted: str, near: float = 1e-6) -> bool | None:
    """Tells whether two texts come to one number, but for the share ``near`` of it; None where
    ``wanted`` comes to none. 3万 may be 3 where the question asks in 万, and 30000 elsewhere.
    """
    right = readings(wanted)
    return (
        any(
            math.isclose(one, other, rel_tol=near, abs_tol=1e-9)
            for one in readings(written)
            for other in right
        )
        if right
        else None
    )


def readings(text: str) -> list[float]:
    """Returns what the last number of a text may mean: the number, and with the 万 or 亿 behind
    it.
    """
    text = text.translate(_WIDE).strip()
    boxed = _BOXED.findall(text)
    text = _FRACTION.sub(r"\1/\2", boxed[-1] if boxed else text)
    found = _NUMBER.findall(text)
    if not found:
        last = [*_CHINESE.finditer(text)][-1:]
        return [_chinese(one[0]) for one in last]
    value = _western(found[-1][0])
    if value is None:
        return []
    times = math.prod(_MYRIADS[sign] for sign in found[-1][1])
    return [value] if times == 1 else [value, value * times]


def _western(written: str) -> float | None:
    whole = written.replace(",", "").replace(" ", "")
    share = 0.01 if whole.endswith("%") else 1.0
    above, slash, below = whole.removesuffix("%").partition("/")
    if slash and float(below) == 0:
        return None
    return share * float(above) / (float(below) if slash else 1.0)


def _chinese(written: str) -> float:
    below, part, above = written.partition("分之")
    if part:
        return _counted(above) / (_counted(below) or math.inf)
    sign, unsigned = (-1, written[1:]) if written.startswith("负") else (1, written)
    whole, _, rest = unsigned.partition("点")
    behind = "".join(str(_DIGITS[one]) for one in rest)
    return sign * (_counted(whole) + float(f"0.{behind or 0}"))


def _counted(signs: str) -> int:
    """Reads Chinese numerals: by their units, or digit by digit where there is none (二〇二四)."""
    if all(sign in _DIGITS for sign in signs):
        return int("".join(str(_DIGITS[sign]) for sign in signs))
    total = section = digit = 0
    for sign in signs:
        if sign in _DIGITS:
            digit = _DIGITS[sign]
        elif sign in _TENS:
            section, digit = section + (digit or 1) * _TENS[sign], 0
        else:
            section += digit
            # 一亿三千万 adds up, 三千万亿 multiplies.
            whole = section or 1
            total = (
                total * _MYRIADS[sign] if not section and total else total + whole * _MYRIADS[sign]
            )
            section = digit = 0
    return total + section + digit
