"""What a cell says of a text's classes, and which columns hold labels and texts where their names
do not tell.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tunesmith.data.columns.names import ABOUT_THE_ROW, is_called
from tunesmith.data.columns.turns import as_text, json_list, no_number

LABELS = ("label", "labels")
OTHER_LABELS = (
    "class",
    "category",
    "intent",
    "sentiment",
    "score",
    "similarity",
    "target",
    "标签",
    "类别",
    "情感",
    "意图",
)
_NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?")
_PYTHON_LIST = re.compile(r"\[.*\]", re.DOTALL)
_MARKS = re.compile(r"\s*[|;；,，、]\s*")
LONGEST_LABEL = 60
"""Characters."""


def label_column(columns: Collection[str]) -> str | None:
    """Returns the column of the classes: label or labels; else the only one that has another usual
    name.
    """
    plain = [name for name in LABELS if name in columns]
    others = [name for name in OTHER_LABELS if name in columns]
    if plain:
        return plain[0]
    return others[0] if len(others) == 1 else None


def labels_of(value: object, field: str) -> tuple[str, ...] | float:
    """Reads a cell as names of classes, or as a number where it has a decimal point.

    A list is several names; a text is one, but in a column called labels its parts between ``|``,
    ``;`` or ``,``.
    """
    if value is None or no_number(value):
        return ()
    if isinstance(value, bool):
        return (str(value).lower(),)
    if isinstance(value, float):
        return value
    several = json_list(value)
    if several is None and isinstance(value, str) and _PYTHON_LIST.fullmatch(value.strip()):
        with suppress(ValueError, SyntaxError):  # as pandas writes a list into a table
            several = list(ast.literal_eval(value.strip()))
    if several is not None:
        return tuple(as_text(name, field).strip() for name in several)
    text = as_text(value, field).strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _MARKS.split(text) if field == "labels" else [text]
    return tuple(part for part in parts if part)


_INFERENCE = frozenset({"entailment", "neutral", "contradiction", "contradictory"})


def sign_of_none(values: Sequence[object]) -> str | None:
    """Returns the sign that stands where a row has no label: ``-`` among the labels of inference,
    where annotators did not agree (Bowman et al. 2015); None where there is none, for elsewhere
    it may be a class.
    """
    signs = {str(value).strip() for value in values if value not in (None, "")}
    return "-" if "-" in signs and len(signs & _INFERENCE) > 1 else None


def flag_in(value: object) -> bool | None:
    """Reads a cell of a column that stands for one class; None where it is neither 0 nor 1, nor a
    word for these.
    """
    return _FLAGS.get(str(value).strip().lower().removesuffix(".0"))


_FLAGS = {
    **dict.fromkeys(("1", "true", "是", "√", "✓", "✔"), True),
    **dict.fromkeys(("0", "false", "否", "×", "✗", "✘"), False),
}


def flag_columns(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Finds the columns that hold only 0 and 1, where there are at least two: one column for each
    class.
    """
    flags: list[str] = []
    for name in columns:
        values = [row.get(name) for row in rows if row.get(name) not in (None, "")]
        if values and not is_called(name, ABOUT_THE_ROW) and all(map(_is_flag, values)):
            flags.append(name)
    varied = [name for name in flags if len({flag_in(row.get(name)) for row in rows} - {None}) > 1]
    return tuple(flags) if len(varied) > 1 else ()


def _is_flag(value: object) -> bool:
    return flag_in(value) is not None


def labelled_columns(
    columns: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> dict[str, str] | None:
    """Maps our names to the file's columns where the cells allow only one reading: one column of
    few short values, and one or two of texts.
    """
    held = {
        name: [row.get(name) for row in rows if row.get(name) not in (None, "")] for name in columns
    }
    labels = [name for name, values in held.items() if _few(values)]
    texts = [name for name, values in held.items() if name not in labels and _many(values)]
    if len(labels) != 1 or not 1 <= len(texts) <= 2 or len(labels) + len(texts) < len(columns):
        return None
    return {
        "text": texts[0],
        **({"second": texts[1]} if len(texts) == 2 else {}),
        "label": labels[0],
    }


def pair_columns(
    columns: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> dict[str, str] | None:
    """Maps our names to the file's columns where the cells allow only one reading: two columns of
    texts, and at most one of numbers.
    """
    held = {
        name: [row.get(name) for row in rows if row.get(name) not in (None, "")] for name in columns
    }
    numbers = [
        name
        for name, values in held.items()
        if values and all(_is_number(value) for value in values)
    ]
    texts = [name for name, values in held.items() if name not in numbers and _many(values)]
    if len(texts) != 2 or len(numbers) > 1 or len(texts) + len(numbers) < len(columns):
        return None
    if all(is_called(name, ABOUT_THE_ROW) for name in texts):
        return None  # a title and an author say nothing of each other
    return {"text": texts[0], "second": texts[1], **({"similarity": numbers[0]} if numbers else {})}


_DEGREE = re.compile(
    r"similar|related|(?:^|[_ .-])(?:sim|sts|gold|match)(?:[_ .-]|$)|相似|相关|匹配", re.IGNORECASE
)


def degree_column(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str | None:
    """Finds the column of numbers that says, by its name, how much two texts belong together; None
    where no column, or more than one, does.
    """
    found = [
        name
        for name in columns
        if _DEGREE.search(name)
        and len({str(row.get(name)) for row in rows}) > 1
        and all(_is_number(row.get(name)) for row in rows if row.get(name) not in (None, ""))
    ]
    return found[0] if len(found) == 1 else None


def codes_of_labels(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Finds the columns of numbers that say the same as a column of words: 100 wherever another
    says news_story.
    """
    values = {name: [str(row.get(name)) for row in rows] for name in columns}
    few = [name for name in columns if _few(values[name])]
    words = [name for name in few if not any(map(_is_number, values[name]))]
    return [
        name
        for name in few
        if all(map(_is_number, values[name]))
        and any(_alike(values[name], values[word]) for word in words)
    ]


def _alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tells whether each value of one column stands beside one value of the other alone."""
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _few(values: Sequence[object]) -> bool:
    """Tells whether a column holds few short values, each of them several times."""
    texts = [str(value) for value in values]
    return (
        bool(texts)
        and not any(isinstance(value, Mapping) for value in values)
        and len(set(texts)) > 1
        and max(map(len, texts)) <= LONGEST_LABEL
        and 3 * len(set(texts)) <= len(texts)
    )


def _many(values: Sequence[object]) -> bool:
    """Tells whether a column holds texts, most of which differ."""
    return (
        bool(values)
        and all(isinstance(value, str) for value in values)
        and 2 * len(set(values)) > len(values)
    )
