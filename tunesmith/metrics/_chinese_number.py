"""Numbers in Chinese writing: 三十五, 一万二, 三又二分之一, 一点五亿, 壹佰."""

from __future__ import annotations

import math
import re
from unicodedata import numeric

_DIGIT, _FORMAL_DIGIT = "零〇一二两三四五六七八九", "零壹贰叁肆伍陆柒捌玖"
_SIGN = f"[{_DIGIT}十廿卅百千万亿]"
_PLAIN = str.maketrans({"两": "二", "廿": "二十", "卅": "三十"})
# What begins with 百, 千, 万 or 亿 is a word: 千万不要, 万一.
_RUN = f"(?:[{_DIGIT}十廿卅]{_SIGN}+|[{_FORMAL_DIGIT}拾][{_FORMAL_DIGIT}拾佰仟万亿]+)"
_NUMBER = re.compile(
    f"(?P<sign>负?)(?:"
    f"(?:(?P<whole>{_SIGN}+)又)?(?P<below>{_SIGN}+)分之(?P<above>{_SIGN}+)|"
    f"(?P<before>{_SIGN}+)点(?P<after>[{_DIGIT}]+)(?![十百千])(?P<units>[万亿]*)|"
    f"(?<!第)(?P<run>{_RUN}))"
)
_SINGLE = re.compile(
    # Mostly a part of a word (一起, 十分), unless it stands alone or what says a number is before.
    rf"^{_SIGN}(?=\W*$)|(?<=[是为得共有剩于=:：]){_SIGN}"
)


def numbers(text: str) -> list[tuple[int, list[float]]]:
    """Finds the numbers of more than one sign, each with its place in ``text`` and what it may
    mean: 百分之五十 is a half, and 50 percent.
    """
    return [(match.start(), _meanings(match)) for match in _NUMBER.finditer(text)]


def _meanings(found: re.Match[str]) -> list[float]:
    value = _value(found)
    return [value, 100 * value] if found["below"] == "百" else [value]


def single(text: str) -> list[float]:
    """Returns the last number of a single sign, where there is one."""
    return [_counted(sign) for sign in _SINGLE.findall(text)[-1:]]


def product(units: str) -> float:
    """Multiplies units that follow each other, as 百万."""
    return math.prod(numeric(unit) for unit in units)


def _value(found: re.Match[str]) -> float:
    sign = -1 if found["sign"] else 1
    if found["below"]:
        whole = _counted(found["whole"]) if found["whole"] else 0
        return sign * (whole + _counted(found["above"]) / (_counted(found["below"]) or math.inf))
    if found["before"]:
        after = "".join(f"{_counted(digit):.0f}" for digit in found["after"])
        return sign * (_counted(found["before"]) + float(f"0.{after}")) * product(found["units"])
    return sign * _counted(found["run"])


def _counted(signs: str) -> float:
    """Reads signs by their units, or digit by digit where there is none (二〇二四)."""
    values = [numeric(sign) for sign in signs.translate(_PLAIN)]
    if all(value < 10 for value in values):
        return float("".join(f"{value:.0f}" for value in values))
    total = section = digit = 0.0
    unit = 1.0  # the last one, unless a zero came after it
    for value in values:
        if value < 10:
            digit, unit = value, unit if value else 1.0
        elif value < 10_000:
            section += (digit or 1) * value
            digit, unit = 0.0, value
        else:
            section += digit
            # 一亿三千万 adds up, 三千万亿 multiplies.
            total = total * value if total and not section else total + (section or 1) * value
            section, digit, unit = 0.0, 0.0, value
    # A digit at the end counts the next smaller unit: 一万二 is 12 000, 二十五 is 25.
    return total + section + digit * max(unit / 10, 1)
