"""Personal data and secrets within a text, found by form, check digit or a word before them, never
by guessing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address

from tunesmith.data.texts.addresses import addresses_in
from tunesmith.data.texts.births import BIRTH_DATE
from tunesmith.data.texts.keys import CHINESE_NAMES, NAMES, PREFIXES, SECRET

WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Full-width signs to plain ones, one for one, so that places stay true."""
_WIDE_LETTER = re.compile("[\uff20-\uff3a\uff41-\uff5a]")
# Powers of 2 modulo 11, from 2^17 down (GB 11643).
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
# Without I, O, S, V and Z, which look like digits (GB 32100).
_CREDIT_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
# Powers of 3 modulo 31 (GB 32100).
_CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


@dataclass(frozen=True, order=True)
class Found:
    """A part of a text, from ``start`` up to ``end`` (characters), and what it is."""

    start: int
    end: int
    kind: str


def identity_card(number: str) -> bool:
    """Tells whether this can be the number of a Chinese identity card: a date, and the check digit
    of GB 11643 (mod 11). Regions come and go, so none is asked for.
    """
    digits = re.sub(r"[ -]", "", number).upper()
    try:
        born = date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14]))
    except ValueError:
        return False
    return 1900 <= born.year <= date.today().year and digits[17] == identity_check(digits[:17])


def identity_check(digits: str) -> str:
    """Computes the check digit after the 17 digits of a Chinese identity card (GB 11643)."""
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True))
    return _CHECKS[total % 11]


def bank_card(number: str) -> bool:
    """Tells whether this can be the number of a bank card, by Luhn's check digit."""
    digits = re.sub(r"[ -]", "", number)
    # A number of nothing but zeros passes Luhn's check too.
    return len(set(digits)) > 2 and digits[-1] == luhn_check(digits[:-1])


def luhn_check(digits: str) -> str:
    """Computes Luhn's check digit after these digits (ISO/IEC 7812-1, annex B)."""
    doubled = [2 * int(digit) for digit in digits[::-2]]
    total = sum(map(int, digits[-2::-2])) + sum(digit - 9 * (digit > 9) for digit in doubled)
    return str(-total % 10)


def credit_code(code: str) -> bool:
    """Tells whether this can be the unified social credit code of a Chinese organisation (GB
    32100).
    """
    return all(sign in _CREDIT_SIGNS for sign in code) and code[17] == credit_check(code[:17])


def credit_check(code: str) -> str:
    """Computes the check sign after the 17 signs of a social credit code (GB 32100)."""
    places = map(_CREDIT_SIGNS.index, code)
    total = sum(weight * place for weight, place in zip(_CREDIT_WEIGHTS, places, strict=True))
    return _CREDIT_SIGNS[-total % 31]


def _address_of_machine(text: str) -> bool:
    try:
        return not ip_address(text).is_unspecified
    except ValueError:  # 300.1.1.1, or a time of day such as 12:30:45
        return False


def _telephone(text: str) -> bool:
    """Tells whether a number behind a plus has as many digits as a telephone's (E.164); +12345678
    is more often an amount, and so digits in one piece are asked for three more.
    """
    number = text.removeprefix("+")
    least = 11 if number.isdecimal() else 8
    return not text.startswith("+") or least <= len(re.sub(r"\D", "", number)) <= 15


def _card_of_a_person(text: str) -> bool:
    """Tells whether this can be the number of a Chinese identity card; a social security number of
    the United States has no check digit.
    """
    return len(text) == 11 or identity_card(text)


def _any(text: str) -> bool:
    return True


_CUE = r"\s*(?:号码|号|[Nn]o\.?|number|ID|id|#)?\s*(?:是|为|is)?\s*[:：#]?\s*"

_FORMS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "secret": (SECRET, _any),
    "identity_card": (
        re.compile(
            r"(?<!\d)[1-9]\d{5}[ -]?\d{8}[ -]?\d{3}[\dXx](?![\dA-Za-z])"
            r"|(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"
        ),
        _card_of_a_person,
    ),
    "credit_code": (
        re.compile(r"(?<![\dA-Za-z])[0-9A-HJ-NP-RTUW-Y]{18}(?![\dA-Za-z])"),
        credit_code,
    ),
    "mail": (
        re.compile(
            r"(?<![\w.])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}", re.ASCII
        ),
        _any,
    ),
    "phone": (
        re.compile(
            r"(?<![\d.])(?<![ =(]-)(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)"
            r"|(?<![\d.-])(?:\+?1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\d-])"
            r"|(?<![\w.)+])\+[1-9]\d{0,2}[ -]?(?:\(\d{1,4}\)[ -]?)?"
            r"\d{1,4}(?:[ -]?\d{2,4}){1,4}(?!\d)"
        ),
        _telephone,
    ),
    "bank_card": (
        re.compile(
            r"(?<![\d.])(?:(?:[3-6]\d|2[1-7]|18)\d{11,17}"
            r"|(?:[3-6]\d|2[1-7]|18)\d{2}([ -])(?:\d{4}\1){2,3}\d{1,4}"
            r"|3[47]\d{2}([ -])\d{6}\2\d{5})(?!\d)"
        ),
        bank_card,
    ),
    "landline": (
        re.compile(
            r"(?<![\d-])(?<!\d )(?:\+?86[ -]?)?(?:\(0\d{2,3}\) ?|0\d{2,3}[ -])"
            r"(?:\d{7,8}|\d{3,4}[ -]\d{4})(?![\d-])"
            r"|(?<![\d.-])0(?:(?:10|2\d)[2-8]\d{7}|[3-9]\d{2}[2-8]\d{6,7})(?![\d.-])"
        ),
        _any,
    ),
    "ip": (
        re.compile(
            r"(?<![\d.vV])(?<!版本)(?<!版本号)(?<!版本号 )(?<![Vv]ersion )"
            r"\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)"
            # A Chinese character is a \w too; a colon may stand behind what announces it.
            r"|(?:(?<![0-9A-Za-z_:])|(?<=[P址器]:))"
            r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,7}(?![0-9A-Za-z_:])"
        ),
        _address_of_machine,
    ),
    "plate": (
        re.compile(
            r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]"
            r"[A-HJ-NP-Z][·• -]?(?:[A-HJ-NP-Z0-9]{5,6})(?![A-Za-z0-9])"
            r"|[Pp]late(?: number| no\.?)?(?: is)?:?\s+"
            r"(?P<value>[A-Z0-9]{1,4}[ -]?[A-Z0-9]{2,4})(?![A-Za-z0-9])"
        ),
        lambda found: any(sign.isdecimal() for sign in found),
    ),
    "passport": (
        re.compile(rf"(?:护照|[Pp]assport){_CUE}(?P<value>[A-Z]{{0,2}}\d{{7,9}})(?!\d)"),
        _any,
    ),
    "record": (
        re.compile(
            rf"(?:(?:病历|病案|住院|门诊|就诊卡?|医保卡|\bMRN){_CUE}"
            r"|\b(?:[Rr]ecord|[Pp]atient|[Hh]ospital|[Aa]dmission|[Cc]hart)"
            r"\s?(?:[Nn]o\.?|[Nn]umber|ID|#)\s?(?:is)?[:#]?\s?)"
            r"(?P<value>[A-Za-z]{0,3}\d{5,14})(?!\d)"
        ),
        _any,
    ),
    "birth_date": (BIRTH_DATE, _any),
}
"""What is looked for, in the order in which signs are claimed: a card may hold a telephone."""
KINDS = (*_FORMS, "address")


def found_in(text: str, kinds: tuple[str, ...] = KINDS) -> list[Found]:
    """Finds the parts of a text that are of one of these kinds, by their place; none overlaps
    another.
    """
    # Full-width letters may be anything once they are plain. A text without them is made plain only
    # where it may hold something: that takes four times as long as to look (measured: 50 and 12 us
    # a Chinese row of 400 characters).
    met: dict[re.Pattern[str], bool] = {}
    lettered = not text.isascii() and _WIDE_LETTER.search(text)
    if not lettered and not any(_may_hold(text, kind, met) for kind in kinds):
        return []
    plain = text.translate(WIDE)
    parts: list[Found] = []
    for part in _all_in(plain, kinds):
        if all(part.end <= other.start or other.end <= part.start for other in parts):
            parts.append(part)
    # All kinds claim their signs, so that a card is no telephone where only telephones are wanted.
    return sorted(part for part in parts if part.kind in kinds)


_MANY_DIGITS = re.compile(r"\d(?:[ ().（）．－-]{0,2}\d){6}")
_NEEDS = {
    **dict.fromkeys(("identity_card", "phone", "bank_card", "landline"), _MANY_DIGITS),
    "credit_code": re.compile(r"\d{6}"),  # its third to eighth signs are a region's digits
    "ip": re.compile(r"\d[.．]\d|[:：][0-9A-Fa-f]{0,4}[:：]"),
    "plate": re.compile(
        "[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z]|plate"
    ),
}
_DIGITS = re.compile(r"\d{3}")


def _may_hold(plain: str, kind: str, met: dict[re.Pattern[str], bool]) -> bool:
    """Tells whether a text holds what it must to be searched for a kind; three digits for some.
    ``met`` notes what was asked of this text already: most kinds of numbers need the same.

    Words are sought with ``in``, which takes a sixth of the time of a pattern of them (measured on
    5 000 rows of 700 characters).
    """
    if kind == "address":
        return True
    if kind == "mail":
        return "@" in plain
    if kind == "secret":
        return _may_hold_secret(plain)
    form = _NEEDS.get(kind, _DIGITS)
    if form not in met:
        met[form] = form.search(plain) is not None
    return met[form]


def _may_hold_secret(text: str) -> bool:
    """Tells whether a text holds any of the marks by which a secret is known: few texts do, and to
    search one takes longer than all else that is looked for in it.
    """
    for sign, marks in PREFIXES.items():
        if sign in text and any(mark in text for mark in marks):
            return True
    folded = text.casefold()
    names = NAMES if text.isascii() else (*NAMES, *CHINESE_NAMES)
    return any(name in folded for name in names)


def _all_in(plain: str, kinds: Collection[str]) -> Iterator[Found]:
    last = max((KINDS.index(kind) for kind in kinds), default=-1)
    met: dict[re.Pattern[str], bool] = {}
    for kind, (form, right) in list(_FORMS.items())[: last + 1]:
        if not _may_hold(plain, kind, met):
            continue
        for match in form.finditer(plain):
            group = match.lastgroup or 0  # some have a word before the value
            if right(match[group]):
                yield Found(*match.span(group), kind)
    if "address" in kinds:
        yield from (Found(start, end, "address") for start, end in addresses_in(plain))


def kinds_in(text: str, kinds: tuple[str, ...] = KINDS) -> Iterator[str]:
    """Yields the kinds that a text holds, each once, in the order in which they are looked for;
    what stands in for them (``tunesmith data anonymise``) is nobody's.
    """
    met = {
        part.kind
        for part in found_in(text, kinds)
        if not _nobodys(part.kind, text[part.start : part.end])
    }
    return (kind for kind in KINDS if kind in met)


_NOBODYS = {
    "mail": re.compile(r"user\d{6}@example\.com"),
    "identity_card": re.compile(r"99\d{15}[\dX]|000\d{6}"),
    "bank_card": re.compile(r"999999\d+"),
    "phone": re.compile(r"(?:86)?12\d{9}|\d*55501\d\d|999\d{5,12}"),
}
"""The forms of surrogates, without spaces and marks: no region is 99, no country 999, no bank
999999.
"""


def _nobodys(kind: str, value: str) -> bool:
    form = _NOBODYS.get(kind)
    plain = value if kind == "mail" else re.sub(r"[^\dX]", "", value.upper())
    return form is not None and form.fullmatch(plain) is not None
