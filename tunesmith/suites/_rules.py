"""Rules by which a written answer to a question of a suite is right or wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

from tunesmith.metrics import in_a_row, words
from tunesmith.metrics._json import read
from tunesmith.metrics._number import same_number
from tunesmith.metrics.refusal import refuses

EITHER = " | "
"""Between answers of which each is right."""


def contains(answer: str, right: str) -> bool:
    """Tells whether the words of one of the right answers stand in the answer, in a row."""
    said = words(answer)
    for right_one in right.split(EITHER):
        run = words(right_one)
        if not run:  # a sign, such as > or +
            if right_one.strip() in answer:
                return True
        elif in_a_row(run, said):
            return True
    return False


def number(answer: str, right: str) -> bool:
    """Tells whether the last number of the answer is the right one."""
    return bool(same_number(answer, right))


def same(answer: str, right: str) -> bool:
    """Tells whether the answer is one of the right ones, but for case, spaces and marks; one of
    marks alone, such as > or +, is compared as it is.
    """
    return any(
        words(answer) == words(right_one)
        if words(right_one)
        else answer.strip() == right_one.strip()
        for right_one in right.split(EITHER)
    )


def pattern(answer: str, right: str) -> bool:
    """Tells whether the regular expression matches the whole answer, but for the spaces round
    it.
    """
    return re.fullmatch(right, answer.strip(), re.DOTALL) is not None


def equal_json(answer: str, right: str) -> bool:
    """Tells whether the answer is the right JSON value, alone or in one fenced block."""
    return (said := read(answer)) is not None and said == read(right)


RULES: dict[str, Callable[[str, str], bool]] = {
    "contains": contains,
    "number": number,
    "same": same,
    "pattern": pattern,
    "json": equal_json,
    "refuses": lambda answer, right: refuses(answer),
    "complies": lambda answer, right: bool(answer.strip()) and not refuses(answer),
}
