"""What a text reworded must keep, by rules that can be tested: its numbers, addresses, code
and negations, the words that its answer or label rests on, and about its length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator

from tunesmith.data.texts.duplicates import normalise

FIXED = re.compile(
    r"```.*?```|`[^`]*`|https?://\S+|\S+@\S+|<[^<>\s]+>|\{[^{}]*\}|\[[^\[\]]*\]|\$[^$]*\$"
    r"|\d+(?:[.,:/-]\d+)*\s?(?:%|[a-zA-Z°]{1,3}\b)?|[零一二三四五六七八九十百千万亿两]{2,}",
    re.DOTALL,
)
"""Code, addresses, placeholders, formulas, and numbers with their units."""
NEGATIONS = re.compile(
    r"\b(?:no|not|never|none|neither|nor|without|cannot|hardly)\b|n't\b|[不没無无非未莫勿别]",
    re.IGNORECASE,
)
TIMES = re.compile(
    r"\b(?:second|minute|hour|day|night|week|month|quarter|year|decade|century|centurie)s?\b"
    r"|\b(?:today|tonight|tomorrow|yesterday|(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    r"|january|february|march|april|june|july|august|september|october|november|december"
    r"|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million"
    r"|once|twice|half|double)\b"
    r"|[一两几半上下本这每前后今明昨去]个?(?:年|月|日|天|周|星期|小时|分钟|晚)",
    re.IGNORECASE,
)
"""When and how many, which a thesaurus takes for alike: a week and a month, twice and once."""
SHORTER, LONGER = 0.5, 2.0
"""A variant is at least and at most so many times as long as the text."""


def protected(text: str, words: Collection[str]) -> list[tuple[int, int]]:
    """Returns the spans of a text that no way may touch: what is fixed, negations, times, and the
    words of the answer.
    """
    spans = [match.span() for form in (FIXED, NEGATIONS, TIMES) for match in form.finditer(text)]
    for word in words:
        spans += [match.span() for match in re.finditer(re.escape(word), text, re.IGNORECASE)]
    return sorted(spans)


def broken(text: str, variant: str, words: Collection[str]) -> str | None:
    """Returns why a variant may not stand for the text; None where it may.

    ``same``: it says the same signs; ``length``; ``numbers``: what is fixed differs;
    ``negation``; ``answer``: a word of the answer appears or vanishes.
    """
    if normalise(text) == normalise(variant):
        return "same"
    if not SHORTER * len(text) <= len(variant) <= LONGER * len(text) + 10:
        return "length"
    if Counter(_found(FIXED, text)) != Counter(_found(FIXED, variant)):
        return "numbers"
    if Counter(_found(NEGATIONS, text)) != Counter(_found(NEGATIONS, variant)):
        return "negation"
    low = text.lower()
    other = variant.lower()
    if any((word.lower() in low) != (word.lower() in other) for word in words):
        return "answer"
    return None


def _found(form: re.Pattern[str], text: str) -> Iterator[str]:
    return (match.group().strip().lower() for match in form.finditer(text))
