"""Questions with answers as a teacher writes them below each other, and whether an answer rests on
its passage: by rules that can be tested, not by another model's opinion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUESTION = r"q(?:uestion)?|问题?"
_ANSWER = r"a(?:nswer)?|答案?"
_MARK = re.compile(
    rf"^[\W\d_]*(?:(?P<question>{_QUESTION})|(?P<answer>{_ANSWER}))\s*\d*[\s*_]*[:：][\s*_]*",
    re.IGNORECASE | re.MULTILINE,
)
"""``Q:``, ``**Question 1:**``, ``2. 问：`` at the beginning of a line."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)*|[零一二三四五六七八九十百千万亿两]{2,}")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
NEGATION = re.compile(
    r"\b(?:no|not|never|none|neither|nor|without|cannot)\b|n't\b|[不没無无非未莫勿别]",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_POINTS = re.compile(
    r"\b(?:the|this|above|following|given) (?:passage|text|section|paragraph|article|excerpt)\b"
    r"|[本上下该]文(?![化学明])|(?:这|该|上述|以上|给定)一?[篇段]?(?:文本|文章|段落|话|文字|材料)",
    re.IGNORECASE,
)
LETTERS, STEM = 4, 5
"""Shorter words say little by themselves; words with so many first letters in common are forms of
one.
"""


def pairs_in(text: str, *, cut: bool) -> Iterator[tuple[str, str]]:
    """Yields each question with the answer behind it; of a text that was ``cut`` the last answer,
    which may lack its end, is left out.
    """
    marks = [*_MARK.finditer(text)]
    ends = [*(mark.start() for mark in marks[1:]), len(text)][: len(marks)]
    question = ""
    for index, (mark, end) in enumerate(zip(marks, ends, strict=True)):
        said = text[mark.end() : end].strip().strip("*_").strip()
        if mark["question"]:
            question = said
        elif question:
            if said and not (cut and index == len(marks) - 1):
                yield question, said
            question = ""


def unsupported(question: str, answer: str, passage: str, least: float) -> str | None:
    """Returns why a pair may not stand for the passage; None where it may.

    ``points``: the question cannot be read without it; ``number``: a number that is not in it;
    ``negation``: the answer denies and nothing in it does; ``words``: a smaller share than
    ``least`` of the answer's words stands in it.
    """
    if _POINTS.search(question):
        return "points"
    if not _numbers(answer) | _numbers(question) <= _numbers(passage):
        return "number"
    if NEGATION.search(answer) and not NEGATION.search(passage):
        return "negation"
    if share_in(answer, passage) < least:
        return "words"
    return None


def share_in(answer: str, passage: str) -> float:
    """Returns the share of an answer's words that stand in a passage: of Chinese, its pairs of
    characters; of other words those of four letters and more, where there are any.
    """
    words_of_answer = _units(answer)
    others = _units(passage)
    stems = {word[:STEM] for word in others if len(word) >= STEM}
    supported = [
        word in others or (len(word) >= STEM and word[:STEM] in stems) for word in words_of_answer
    ]
    return sum(supported) / len(supported) if supported else 1.0


def _units(text: str) -> set[str]:
    words = set(_WORD.findall(_HAN.sub(" ", text.lower())))
    long = {word for word in words if len(word) >= LETTERS}
    pairs = {
        run[index : index + 2]
        for run in _HAN.findall(text)
        for index in range(max(1, len(run) - 1))
    }
    return pairs | (long or words)


def _numbers(text: str) -> set[str]:
    return {_THOUSANDS.sub("", number) for number in NUMBER.findall(text)}
