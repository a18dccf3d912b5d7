"""Rows of texts, told by the names of their columns and by their cells: texts with labels, pairs of
texts, documents.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tunesmith.data.columns import names
from tunesmith.data.columns.cells import held, is_id, is_number, is_text, is_written, varies
from tunesmith.data.columns.labels import (
    LONGEST_LABEL,
    codes_of_labels,
    flag_columns,
    label_column,
    labelled_columns,
    pair_columns,
)
from tunesmith.data.columns.meaning import Meaning, pair_of
from tunesmith.data.columns.names import is_called, plain, ranked
from tunesmith.data.recognise_questions import asked_and_answered, made_of_it
from tunesmith.plain import Row


def labelled(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises a text, or a pair, and its label."""
    flags = flag_columns(columns, rows)
    if flags and label_column(columns) is None:
        rest = [name for name in columns if name not in flags]
        texts = [name for name in rest if is_text(name, rows) and not is_id(name, rows)]
        bodies = ranked(names.TEXT, texts) or texts
        if bodies:
            return Meaning({"text": bodies[0]}, sure=len(texts) == 1, reader="one_hot")
    filled = [name for name in columns if held(name, rows) and not is_id(name, rows)]
    codes = codes_of_labels(filled, rows) if all(map(str.isdecimal, columns)) else []
    cells = labelled_columns([name for name in filled if name not in codes], rows)
    labels = [name for name in ranked(names.LABEL, columns) if _is_label(name, rows)]
    ending_so = [] if labels else _ending_as_labels(columns, rows)
    texts = [
        name
        for name in filled
        if is_text(name, rows) and varies(name, rows) and not all(map(is_number, held(name, rows)))
    ]
    pair = pair_of(texts, names.JUDGED_WITH)
    named = [name for name in ranked(names.TEXT, texts) if name not in labels]
    bodies = [name for name in named if not is_called(name, names.ABOUT_THE_ROW)] or named
    if labels and (pair or bodies):
        meant = {"text": pair[0], "second": pair[1]} if pair else {"text": bodies[0]}
        first = plain(labels[0]) in ("label", "labels", "标签", "类别")
        sure = (first or len(labels) == 1) and (bool(pair) or len(bodies) == 1)
        return Meaning({**meant, "label": labels[0]}, sure)
    if cells:
        return Meaning(cells, sure=not codes)
    others = [
        name for name in texts if name not in labels and not is_called(name, names.ABOUT_THE_ROW)
    ]
    if all(map(str.isdecimal, columns)):  # nothing but the cells tells which is the text
        others.sort(key=lambda name: -sum(map(len, held(name, rows))))
    text = (bodies or others)[:1]
    may = [name for name in columns if name not in text and _may_label(name, rows)]
    label = labels or ending_so or may
    if text and len(label) == 1:
        return Meaning({"text": text[0], "label": label[0]}, sure=False)
    return None


def _ending_as_labels(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Returns the columns of few values whose names end as a label's: airline_sentiment."""
    return [
        name
        for name in columns
        if _LAST_WORD.findall(name)[-1:] != [name]
        and is_called(_LAST_WORD.findall(name)[-1].casefold(), names.LABEL)
        and _is_label(name, rows)
        and 3 * len({str(value) for value in held(name, rows)}) <= len(rows)
    ]


_LAST_WORD = re.compile(r"[A-Z]?[^\W_A-Z]+|[A-Z]+(?![^\W_A-Z])")
"""A word of a name: airline, Sentiment, ID."""


def _may_label(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column that is not called so may be the label: few different values, and none
    that say which row it is.
    """
    if not is_written(name, rows) or is_id(name, rows) or is_called(name, names.ABOUT_THE_ROW):
        return False
    different = {str(value) for value in held(name, rows)}
    return _is_label(name, rows) and len(different) <= max(10, len(rows) // 2)


def _is_label(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column holds short values, or lists of them, that are not all the same."""
    values = [row.get(name) for row in rows if row.get(name) not in (None, "")]
    return (
        bool(values)
        and varies(name, rows)
        and all(
            isinstance(value, str | int | float | list) and len(str(value)) <= LONGEST_LABEL
            for value in values
        )
    )


def _related(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises a text with others that belong to it and others that do not."""
    lower = {name.casefold(): name for name in columns}
    related = [
        (name, lower[other])
        for belongs, does_not in names.RELATED
        for folded, name in lower.items()
        if belongs in folded
        and does_not not in folded
        and (other := folded.replace(belongs, does_not)) in lower
    ]
    if not related:
        return None
    # "hard_negatives" beside positives and negatives: the harder ones teach more.
    second, negatives = related[0]
    hard = lower.get(f"hard_{negatives}".casefold())
    negatives = hard if hard is not None and held(hard, rows) else negatives
    texts = [name for name in columns if name not in related[0] and is_text(name, rows)]
    asked = ranked([*names.QUESTION, *names.TEXT, *names.SOURCE, "anchor"], texts)
    texts = asked or [name for name in texts if not is_id(name, rows)]
    if not texts:
        return None
    meant = {"text": texts[0], "second": second}
    if held(negatives, rows):
        meant["negatives"] = negatives
    return Meaning(meant, sure=len(asked) == 1)


def text_pair(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises two texts that belong together, their grade, and texts that do not belong
    to them.
    """
    if {"query", "response", "rejected_response"} <= {*columns}:  # as ms-swift has them
        meant = {"text": "query", "second": "response", "negatives": "rejected_response"}
        return Meaning(meant, sure=True)
    related = _related(columns, rows)
    if related is not None:
        return related
    rest = [name for name in columns if not is_id(name, rows)]
    texts = [name for name in rest if is_text(name, rows) and varies(name, rows)]
    pair = pair_of(texts)
    if pair is None:
        answered = asked_and_answered(texts, rows) or made_of_it(texts, rows)
        if answered is None:
            cells = pair_columns([name for name in rest if varies(name, rows)], rows)
            if cells:
                return Meaning(cells, sure=len(rest) < 4)
            return _by_place(rest, texts)
        if "input" in answered.columns:
            return None
        pair = (next(iter(answered.columns.values())), list(answered.columns.values())[-1])
        return Meaning({"text": pair[0], "second": pair[1]}, sure=answered.sure)
    grades = [
        name
        for name in ranked(names.GRADE, rest)
        if name not in pair and all(map(is_number, held(name, rows))) and held(name, rows)
    ]
    meant = {"text": pair[0], "second": pair[1]}
    return Meaning({**meant, **({"similarity": grades[0]} if grades else {})}, len(grades) <= 1)


def _by_place(columns: list[str], texts: list[str]) -> Meaning | None:
    """Takes two columns of texts without names as a pair, and three as a text, one that belongs to
    it and one that does not.
    """
    if len(texts) not in (2, 3) or texts != columns or not all(map(str.isdecimal, columns)):
        return None
    return Meaning(dict(zip(("text", "second", "negatives"), texts, strict=False)), sure=False)


def _is_lines(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column holds lists of texts, which are the lines of a document."""
    values = [value for row in rows if (value := row.get(name))]
    return bool(values) and all(
        isinstance(value, list) and all(isinstance(line, str) for line in value) for value in values
    )


def text_alone(columns: list[str], rows: Sequence[Row]) -> Meaning | None:
    """Recognises a document: the column of that name, or the only one that holds texts."""
    texts = [
        name
        for name in columns
        if is_text(name, rows) and varies(name, rows) and not is_id(name, rows)
    ]
    called = ranked(["paragraphs", "lines", "text"], columns)
    lines = [name for name in called if _is_lines(name, rows)]
    if len(lines) == 1 and not ranked(names.DOCUMENT, texts):
        return Meaning({"text": lines[0]}, sure=True)
    documents = ranked(names.DOCUMENT, texts)
    bodies = [name for name in texts if not is_called(name, names.ABOUT_THE_ROW)]
    if any(not is_written(name, rows) and held(name, rows) for name in columns):
        return None  # lists and objects: there is more to these rows than their text
    if documents:
        return Meaning({"text": documents[0]}, sure=len(bodies) <= 1)
    return Meaning({"text": bodies[0]}, sure=True) if len(bodies) == 1 else None
