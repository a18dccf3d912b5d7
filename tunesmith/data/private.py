"""Rows that hold what belongs to a person: telephone, identity card and bank card numbers, and mail
addresses; found by their form and check digits, never by guessing at names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date

from tunesmith.data import duplicates
from tunesmith.data.ledger import some
from tunesmith.examples import Example
from tunesmith.words import say

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Full-width signs to plain ones, one for one."""
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"


def identity_card(number: str) -> bool:
    """Whether a Chinese identity card may have this number: a date, and the check digit of GB
    11643 (mod 11).
    """
    digits = re.sub(r"[ -]", "", number).upper()
    try:
        born = date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits[:17], strict=True))
    return 1900 <= born.year <= date.today().year and digits[17] == _CHECKS[total % 11]


def bank_card(number: str) -> bool:
    """Whether a bank card may have this number, by Luhn's check digit."""
    digits = [int(digit) for digit in re.sub(r"[ -]", "", number)]
    doubled = [2 * digit for digit in digits[-2::-2]]
    total = sum(digits[-1::-2]) + sum(digit - 9 * (digit > 9) for digit in doubled)
    return total % 10 == 0 and len(set(digits)) > 2


_FORMS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "identity_card": (
        re.compile(r"(?<!\d)[1-9]\d{5}[ -]?\d{8}[ -]?\d{3}[\dXx](?![\dA-Za-z])"),
        identity_card,
    ),
    "mail": (
        re.compile(
            r"(?<![\w.])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}", re.ASCII
        ),
        lambda found: True,
    ),
    "phone": (
        re.compile(
            r"(?<![\d.])(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)"
            r"|(?<![\d.-])(?:\+?1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\d-])"
        ),
        lambda found: True,
    ),
    "bank_card": (
        re.compile(r"(?<![\d.])[3-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?!\d)"),
        bank_card,
    ),
}
"""What is looked for, in the order in which digits are claimed: a card may hold a telephone."""


class Private:
    """Collects where rows hold such things; ``notes`` says it, with the rows."""

    def __init__(self) -> None:
        self.places: dict[str, list[str]] = {}

    def add(self, where: str, example: Example) -> None:
        """Looks at one row."""
        for kind in kinds_in("\n".join(duplicates.content(example))):
            self.places.setdefault(kind, []).append(where)

    def notes(self) -> list[str]:
        """One line with what was found, and in which rows."""
        if not self.places:
            return []
        found = [
            say(f"private.{kind}", number=len(self.places[kind]), places=some(self.places[kind]))
            for kind in _FORMS
            if kind in self.places
        ]
        return [say("private.note", found=say("private.between").join(found))]


def kinds_in(text: str) -> Iterator[str]:
    """The kinds of private data that a text holds, each once."""
    plain = text.translate(_WIDE)
    for kind, (form, right) in _FORMS.items():
        found = [match[0] for match in form.finditer(plain) if right(match[0])]
        if found:
            yield kind
        for one in found:
            plain = plain.replace(one, "\n")
