"""Pairs of texts that belong together: graded, with negatives, or as a question and what answers
it, under the usual names.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from tunesmith.data.columns.asking import flag_of
from tunesmith.data.columns.labels import degree_column
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
    ("query", "document"),
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

_INFERENCE = ("gold_label", "label", "labels")
_WORDS = {
    **dict.fromkeys(("entailment", "entails", "蕴含"), 1.0),
    **dict.fromkeys(("neutral", "中立"), 0.5),
    **dict.fromkeys(("contradiction", "contradictory", "not_entailment", "矛盾"), 0.0),
}
_NUMBERS = {"0": 1.0, "1": 0.5, "2": 0.0}


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
    answers: ClassVar[frozenset[str]] = frozenset({*GRADES, *NEGATIVES, *_INFERENCE})

    looks: ClassVar[bool] = True

    def __init__(self) -> None:
        self._inference: tuple[str, Mapping[str, float]] | None = None
        """The column that says what follows from what, and the degree that each word is."""
        self._degree: str | None = None
        """The column of degrees, where it has none of the usual names."""

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with one of the usual pairs of columns."""
        return any(columns.issuperset(pair) for pair in PAIRS) and not columns & (
            ANOTHER_TASK | CHOICES
        )

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields, and the column that grades the pairs."""
        graded = self._degree or (self._inference[0] if self._inference else "")
        return frozenset({*self.fields, graded})

    def look(self, rows: Sequence[Row]) -> None:
        """Learns which column grades the pairs where none has a usual name, and whether they are
        graded by what follows from what: such classes are no numbers of likeness, and as such
        would stand in the wrong order.
        """
        graded = any({"similarity", "score", "similarity_score"} & row.keys() for row in rows)
        self._inference = None if graded else _inference(rows)
        named = any({*GRADES, *NEGATIVES} & row.keys() for row in rows)
        columns = dict.fromkeys(name for row in rows for name in row)
        self._degree = None if named or self._inference else degree_column([*columns], rows)
        self.note = "inference" if self._inference else "degree" if self._degree else None

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
        grade = self._grade(row)
        negatives = next((name for name in NEGATIVES if name in held), None)
        return TextPair(
            as_text(row.get(first), first),
            texts[0] if texts else "",
            grade,
            tuple(_texts(row[negatives], negatives)) if negatives else (),
            dict(row),
        )

    def _grade(self, row: Row) -> float | None:
        if self._inference is not None:
            name, degrees = self._inference
            return degrees.get(str(row.get(name)).strip().lower(), math.nan)
        name = next((name for name in (*GRADES, self._degree) if name in row), None)
        return None if name is None else _number(row[name], name)


def _inference(rows: Sequence[Row]) -> tuple[str, Mapping[str, float]] | None:
    """Returns the column that says for each pair whether the second text follows from the first,
    and the degree of each of its classes; None where no column says it.

    The numbers are those of SNLI and all that followed it (Bowman et al. 2015): 0 where it follows,
    2 where it cannot be. They are taken for classes only under the names of such pairs.
    """
    for name in _INFERENCE:
        values = {str(row.get(name)).strip().lower() for row in rows if row.get(name) is not None}
        if len(values & _WORDS.keys()) > 1 and values <= {*_WORDS, "", "-", "other"}:
            return name, _WORDS
        pairs = bool(rows) and {"premise", "hypothesis"} <= rows[0].keys()
        if pairs and {*_NUMBERS} <= values <= {*_NUMBERS, "-1", ""}:
            return name, _NUMBERS
    return None


def _texts(value: Any, field: str) -> list[str]:
    several = json_list(value)
    return [
        as_text(item["text"] if isinstance(item, dict) and "text" in item else item, field)
        for item in ([value] if several is None else several)
        if item not in (None, "")
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
