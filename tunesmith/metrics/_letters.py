"""The letter that an answer to a multiple choice decides for, wherever it stands."""

from __future__ import annotations

import re

# A small letter or I before a word is an article or a pronoun: "the answer is a recipe", "I think".
_LETTER = r"(?:[A-HJ](?![A-Za-z'’])|[Ia-j](?![A-Za-z'’]| +[a-z]))"
_SAID = re.compile(
    r"(?i:answer|option|choice|答案|选项|应选|选择|故选|选)\s*(?i:is|are|应该是|应为|是|为)?\s*"
    rf"[:：]?\s*[*(（【\[]*({_LETTER})"
)
# "A and B are equal" decides for neither.
_FIRST = re.compile(
    rf"^[\s*(（【\[]*({_LETTER})(?!\s*(?:and|or|[&/,、和与或])\s*[A-Ja-j](?![a-z]))"
)
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
