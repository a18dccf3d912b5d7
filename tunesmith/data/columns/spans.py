"""Named parts of a text as tags of its words, one way and back.

The tags are IOB2 (Tjong Kim Sang and Veenstra 1999): B begins a part, I goes on, O is outside. Read
are IOB1, IOE, BIOES, BILOU and BMES too, by the rules of conlleval, which seqeval follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tunesmith.examples import Span

TAG = re.compile(r"O|[BIESLUM]-\S+")
OUTSIDE = "O"
_SAME = str.maketrans("LUM", "ESI")
"""BILOU and BMES in the letters of BIOES."""


def spans_of(tags: Sequence[str], words: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """Returns the spans that the tags of ``words`` mark, in order."""
    spans: list[Span] = []
    start, before, kind = 0, OUTSIDE, ""
    for (begin, _), tag, index in zip(
        [*words, (0, 0)], [*tags, OUTSIDE], range(len(words) + 1), strict=True
    ):
        mark, _, label = tag.partition("-")
        mark = mark.translate(_SAME)
        if before != OUTSIDE and (mark in "OBS" or before in "ES" or label != kind):
            spans.append(Span(start, words[index - 1][1], kind))
            before = OUTSIDE
        if mark != OUTSIDE and before == OUTSIDE:
            start = begin
        before, kind = mark, label
    return tuple(spans)


def tags_of(spans: Iterable[Span], words: Sequence[tuple[int, int]]) -> list[str]:
    """Returns the IOB2 tag of each word; a span that begins or ends inside a word takes the whole
    word.
    """
    tags = [OUTSIDE] * len(words)
    for span in spans:
        mark = "B"
        for n, (start, end) in enumerate(words):
            if start < span.end and end > span.start and tags[n] == OUTSIDE:
                tags[n], mark = f"{mark}-{span.label}", "I"
    return tags


def names_of_tags(labels: Iterable[str]) -> tuple[str, ...]:
    """Returns the tags that a head for words can give: outside, then B and I for each label."""
    return (OUTSIDE, *(f"{mark}-{label}" for label in labels for mark in "BI"))


def kinds_of_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Returns the labels that tags name, in order of appearance."""
    return tuple(dict.fromkeys(tag.partition("-")[2] for tag in tags if tag != OUTSIDE))
