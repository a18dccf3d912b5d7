"""A text, or two, with what it is: its class, its classes, or a number, under the names that are
usual for them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from tunesmith.data.columns.labels import (
    LABELS,
    OTHER_LABELS,
    label_column,
    labels_of,
    sign_of_none,
)
from tunesmith.data.columns.turns import ANOTHER_TASK, CHOICES, json_list, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Labelled

_PAIRS = (
    ("text", "second"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("sentence", "sentence2"),
    ("text", "text2"),
    ("text", "text_pair"),
)
_TEXTS = (
    "text",
    "sentence",
    "content",
    "review",
    "comment",
    "document",
    "body",
    "description",
    "abstract",
    "title",
    "文本",
    "句子",
    "评论",
    "内容",
)


@READERS.register
class LabelledText(Reader):
    """A text, or two, and a label: a name (whatever it looks like), or a number with a decimal
    point.
    """

    gives = Labelled
    fields: ClassVar[dict[str, str]] = {
        "text": "what is judged; also sentence, content, review, comment",
        "second": "the other text of a pair; also sentence2, hypothesis, text2",
        "label": (
            "what it is: a class, a list of classes, or a number; also labels, class, category, "
            "intent, sentiment, score"
        ),
        **{name: "the first text of a pair" for name, _ in _PAIRS if name != "text"},
        **{name: "the second text of a pair" for _, name in _PAIRS if name != "second"},
    }
    answers: ClassVar[frozenset[str]] = frozenset({*LABELS, *OTHER_LABELS})

    looks = True

    def __init__(self) -> None:
        self.none: str | None = None

    def look(self, rows: Sequence[Row]) -> None:
        """Learns from many rows which sign they have in place of a label."""
        name = label_column(frozenset(name for row in rows for name in row))
        self.none = sign_of_none([row.get(name) for row in rows]) if name is not None else None

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with a usual name for a text or for a pair, and exactly one column of
        classes.
        """
        return (
            bool(_texts(columns))
            and label_column(columns) is not None
            and not columns & (ANOTHER_TASK | CHOICES)
            and not _places(row.get(label_column(columns) or ""))
        )

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the columns of the texts and of the label."""
        texts = _texts(frozenset(columns)) or ()
        label = label_column(columns)
        return frozenset({*self.fields, *filter(None, texts), *([label] if label else [])})

    def read(self, row: Row) -> Labelled:
        """Reads text, second text and labels; no labels where the row has none, as when it is asked
        for one, or a sign in place of one.
        """
        columns = frozenset(row)
        first, second = _texts(columns) or ("text", None)
        name = label_column(columns)
        value = None if name is None else row[name]
        unlabelled = self.none is not None and str(value).strip() == self.none
        labels = () if name is None or unlabelled else labels_of(value, name)
        return Labelled(
            text_of(row, first), text_of(row, second) if second else None, labels, dict(row)
        )


def _places(value: object) -> bool:
    """Tells whether a label says where something is, or is an object: objects, or lists within a
    list.
    """
    listed = [value] if isinstance(value, dict) else json_list(value)
    return bool(listed) and all(isinstance(item, dict | list) for item in listed)


def _texts(columns: frozenset[str]) -> tuple[str, str | None] | None:
    """Returns the columns of the first text and of the second, where there is one."""
    pair = next((pair for pair in _PAIRS if columns.issuperset(pair)), None)
    single = next((name for name in _TEXTS if name in columns), None)
    return pair or ((single, None) if single else None)
