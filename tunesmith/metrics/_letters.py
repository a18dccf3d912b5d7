"""The letter that an answer to a multiple choice decides for, wherever it stands."""

from __future__ import annotations

import re

_SAID = re.compile(
    r"(?:answer|option|choice|答案|选项|应选|选择|故选|选)\s*(?:is|are|应该是|应为|是|为)?\s*[:：]?\s*[*(（【\[]*([A-Ja-j])(?![A-Za-z])",
    re.IGNORECASE,
)
_FIRST = re.compile(r"^[\s*(（【\[]*([A-Ja-j])(?![A-Za-z'’])")
_ALONE = re.compile(r"(?<![A-Za-z])([A-J])(?![A-Za-z'’])")


def letter_in(text: str) -> str | None:
    """Returns the letter that a text decides for: the last one after "answer is", else one at its
    beginning, else the only one that stands alone.
    """
    said = _SAID.findall(text)
    if said:
        return said[-1].upper()
    if first := _FIRST.match(text):
        return first[1].upper()
    alone = set(_ALONE.findall(text))
    return alone.pop() if len(alone) == 1 else None
