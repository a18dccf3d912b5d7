"""Pairs of texts that belong together: graded, with negatives, or as a question and what answers
it, under the usual names.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tunesmith.data.columns.asking import flag_of
from tunesmith.data.columns.turns import (
    ANOTHER_TASK,
    CHOICES,
    as_text,
    field_problem,
    json_list,
    no_number,
    shown,
)
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import TextPair

PAIRS = (
    ("text", "second"),
    ("anchor", "positive"),
    ("query", "positive"),
    ("question", "positive"),
    ("query", "pos"),
    ("query", "passage"),
    ("sentence1", "sentence2"),
    ("sentence_A", "sentence_B"),
    ("premise", "hypothesis"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("question1", "question2"),
    ("text", "text2"),
    ("text", "text_pair"),
    ("question", "answer"),
    ("query", "answer"),
)
GRADES = (
    *("similarity", "score", "similarity_score", "label", "labels"),
    *("is_duplicate", "相似度", "是否相似"),
)
NEGATIVES = ("negatives", "negative", "neg", "hard_negative", "hard_negatives")


@READERS.register
class TextPairReader(Reader):
    """Two texts that belong together, or are graded; of several partners in a row the first is
    taken, of negatives all.
    """

    gives = TextPair
    fields: ClassVar[dict[str, str]] = {
        "text": "a text; also anchor, query, question, sentence1",
        "second": "what belongs to it; also positive, pos, passage, answer, sentence2",
        "similarity": (
            "how much they belong together, a number on any scale; also score, label; may be "
            "missing"
        ),
        "negatives": (
            "texts that do not belong to the first, one or a list; also negative, neg; may be "
            "missing"
        ),
        **{name: "the first text" for name, _ in PAIRS if name != "text"},
        **{name: "the second text" for _, name in PAIRS if name != "second"},
        **dict.fromkeys(GRADES[1:], "as similarity"),
        **dict.fromkeys(NEGATIVES[1:], "as negatives"),
    }
    answers: ClassVar[frozenset[str]] = frozenset({*GRADES, *NEGATIVES})

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with one of the usual pairs of columns."""
        return any(columns.issuperset(pair) for pair in PAIRS) and not columns & (
            ANOTHER_TASK | CHOICES
        )

    def read(self, row: Row) -> TextPair:
        """Reads the two texts, their grade and the negatives; the second is empty where a row has
        only one, as when it is asked.
        """
        held = [name for name, value in row.items() if value not in (None, "", [])]
        whole = next((pair for pair in PAIRS if {*pair} <= {*held}), None)
        first, second = whole or next((pair for pair in PAIRS if {*pair} <= {*row}), PAIRS[0])
        if whole is None:
            first = next((name for name, _ in PAIRS if name in held), first)
        texts = _texts(row.get(second), second)
        grade = next((name for name in GRADES if name in row), None)
        negatives = next((name for name in NEGATIVES if name in held), None)
        return TextPair(
            as_text(row.get(first), first),
            texts[0] if texts else "",
            None if grade is None else _number(row[grade], grade),
            tuple(_texts(row[negatives], negatives)) if negatives else (),
            dict(row),
        )


def _texts(value: Any, field: str) -> list[str]:
    several = json_list(value)
    return [
        as_text(one["text"] if isinstance(one, dict) and "text" in one else one, field)
        for one in ([value] if several is None else several)
        if one not in (None, "")
    ]


def _number(value: Any, field: str) -> float:
    """Reads the number of a cell; NaN where it is empty."""
    if value in (None, "") or no_number(value):
        return math.nan
    flag = flag_of(value)
    try:
        return float(value if flag is None else flag)
    except (TypeError, ValueError):
        raise field_problem(field, "reader.not_number", seen=shown(value)) from None
