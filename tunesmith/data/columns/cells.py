"""What the cells of a column hold: an answer, or several as reading-comprehension sets write them,
texts, numbers, one value throughout, numbers of rows.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

from tunesmith.plain import Row

SEVERAL = frozenset(
    {"answers", "outputs", "responses", "references", "targets", "solutions", "questions"}
)
"""Names of columns that hold several right answers by nature."""

_KILT = {"answer", "provenance", "meta"}

WRITTEN = frozenset(
    {"question", "query", "instruction", "input"}
    | {"answer", "output", "completion", "response", "target", "tgt"}
)
"""Fields that hold a text; an object in them is written as JSON."""


def first_answer(value: Any, name: str = "") -> Any:
    """Returns the first of several answers as SQuAD (Rajpurkar et al. 2016) writes them, ``{"text":
    […], "answer_start": […]}`` or ``[{"text": …}, …]``, the answer beside its other names
    (TriviaQA), or the first text in a column whose name is plural; an empty text where there is
    none; any other value unchanged.
    """
    if isinstance(value, dict) and "aliases" in value and isinstance(value.get("value"), str):
        return value["value"]
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        texts = value["text"]
        return texts[0] if texts else ""
    if isinstance(value, dict) and {"text", "answer_start"} <= value.keys():
        return value["text"]
    if (
        isinstance(value, list)
        and value
        and all(
            isinstance(answer, dict) and {"text", "answer_start"} <= answer.keys()
            for answer in value
        )
    ):
        return value[0]["text"]
    if isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        # KILT (Petroni et al. 2021): answers beside the pages that hold them.
        said = [answer["answer"] for answer in value if {*answer} <= _KILT and "answer" in answer]
        if said and all(isinstance(text, str) for text in said):
            return said[0]
    plural = name.casefold() in SEVERAL and isinstance(value, list)
    # As VQA, NarrativeQA and PsyQA write what each person answered.
    for key in ("answer", "text", "answer_text"):
        if plural and value and all(isinstance(answer, dict) and key in answer for answer in value):
            value = [answer[key] for answer in value]
    if plural and all(isinstance(answer, str) for answer in value):
        return value[0] if value else ""
    if isinstance(value, list) and len(value) == 1:
        inner = first_answer(value[0], name)
        return inner if isinstance(inner, str) else value
    return value


def has_places(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column holds answers with their places in a text, as SQuAD writes them."""
    values = [row.get(name) for row in rows if row.get(name) not in (None, [])]
    lists = [value if isinstance(value, list) else [value] for value in values]
    return bool(lists) and all(
        isinstance(answer, dict) and {"text", "answer_start"} <= answer.keys()
        for held in lists
        for answer in held
    )


def printed_objects(text: str) -> list[Any] | None:
    """Parses a list of objects that Python or numpy printed, ``[{'role': 'user'}]``; None for
    anything else.
    """
    if not text.lstrip().startswith("[{"):
        return None
    between = _BETWEEN.sub("}, {", text.strip())  # numpy writes no comma between two lines
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a text with \\d in it
            parsed = ast.literal_eval(between)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return parsed if all(isinstance(item, dict) for item in parsed) else None


_BETWEEN = re.compile(r"\}\s*\n\s*\{")


def question_in(value: Any) -> Any:
    """Returns the text of a question that an object holds with what belongs to it, as WebGPT and
    ARC write it; any other value unchanged.
    """
    if not isinstance(value, dict):
        return value
    return next((value[key] for key in _QUESTION if isinstance(value.get(key), str)), value)


_QUESTION = ("full_text", "stem")


def as_json(value: Any) -> Any:
    """Writes an object, or a list of objects, as JSON, which is an answer like any other text; any
    other value, turns of a conversation among them, is unchanged.
    """
    objects = value if isinstance(value, list) else [value]
    if not objects or not all(isinstance(item, dict) and item for item in objects):
        return value
    if any(is_turn(item) or str(item.get("type")) in _PARTS for item in objects):
        return value
    if question_in(value) is not value:
        return value
    # What json.dumps cannot keep is put where it stands afterwards: 1.10 stays 1.10.
    text = json.dumps(_marked(value), ensure_ascii=False)
    return _MARKED.sub(r"\1", text)


_MARKED = re.compile(r'"\\u0000([^"\\]*)\\u0000"')


def _marked(value: Any) -> Any:
    """Puts marks round the text of each number that keeps how it was written."""
    if isinstance(value, dict):
        return {key: _marked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_marked(inner) for inner in value]
    kept = isinstance(value, float) and str(value) != float.__repr__(value)
    return f"\0{value}\0" if kept and _NUMBER.fullmatch(str(value)) else value


_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


def alone(value: object) -> str | None:
    """Returns the text in a list of one text that Python printed, ``['x']``, which is what pandas
    writes into a CSV file; None for anything else.
    """
    if not isinstance(value, str) or not value.startswith("[") or not value.endswith("]"):
        return None
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    only = parsed[0] if isinstance(parsed, list) and len(parsed) == 1 else None
    return only if isinstance(only, str) else None


def is_turn(item: object) -> bool:
    """Tells whether an object says who speaks and what: one with from and to may be a flight."""
    said = {*SAID, "tool_calls"}
    return isinstance(item, dict) and bool({*SPEAKERS} & item.keys() and said & item.keys())


SPEAKERS = ("role", "from", "speaker", "角色", "说话人")
SAID = ("content", "value", "text", "message", "utterance", "内容")
"""Keys of a turn, the surest first."""
_PARTS = {"text", "image", "image_url", "video", "audio"}
"""What a part of a turn says that it is; an entity has a type too."""


FEW = 5
"""Below this many rows one value throughout says nothing."""
_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{20,}|[0-9a-f]{16,}|\d{0,4}[A-Za-z]{0,20}[_\-/#:]?\d+([_\-/]\d+)*|\d+",
    re.IGNORECASE,
)
_ATTRIBUTION = re.compile(
    r"\bCC[- ](?:BY|0)\b|\bCreative Commons\b|\bAttribution:|\btatoeba\.org\b|©|"
    r"\bAll rights reserved\b|\b(?:Apache|MIT)[- ]Licen[sc]e\b",
    re.IGNORECASE,
)
_STATEMENT = re.compile(r"\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|CREATE|MATCH|PREFIX|ASK)\s", re.I)
_LINK = re.compile(
    r"https?://\S+|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ][\d:.Z+]*)?|"
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\w*,? [\w ,:+-]*\d{4}[\w :+-]*"
)


def held(name: str, rows: Sequence[Row]) -> list[Any]:
    """Returns the values of a column that are not empty."""
    values = [first_answer(row.get(name), name) for row in rows]
    return [value for value in values if value not in (None, "", [], {})]


def is_text(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether the column holds texts."""
    values = held(name, rows)
    return bool(values) and all(isinstance(value, str) for value in values)


def is_written(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether the column holds texts, or numbers and truth values that can be written out."""
    values = held(name, rows)
    return bool(values) and all(isinstance(value, str | int | float) for value in values)


def is_answer(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether the column holds what can be written out, objects as JSON among it; where it
    holds several answers by its name, objects are what is known of each, and no answer.
    """
    values = held(name, rows)
    written = values if name.casefold() in SEVERAL else map(as_json, values)
    return bool(values) and all(isinstance(cell, str | int | float) for cell in written)


def is_passages(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether the column holds several texts a row, as what was found for a question."""
    values = held(name, rows)
    return bool(values) and all(
        isinstance(value, list) and all(isinstance(text, str) for text in value) for value in values
    )


def is_statement(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column holds statements to a database, which are made from a question."""
    values = held(name, rows)
    return bool(values) and all(
        isinstance(value, str) and _STATEMENT.match(value) for value in values
    )


def is_number(value: Any) -> bool:
    """Tells whether a cell holds a finite number."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def varies(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column holds different values; a few rows are too few to deny it."""
    values = held(name, rows)
    return len(values) < FEW or len({str(value) for value in values}) > 1


_NAMED_ID = re.compile(r"(?:^|[_\-. ])ids?$|[a-z]I[dD]$", re.ASCII)


def is_id(name: str, rows: Sequence[Row]) -> bool:
    """Tells whether a column can only hold a row's number, key, link, date or licence: a different
    value in each row, none with a word in it, or in all who is to be named.
    """
    values = [str(value) for value in held(name, rows)]
    if not values:
        return False
    if all(map(_ATTRIBUTION.search, values)):
        return True
    if all(_LINK.fullmatch(value.strip()) for value in values):
        return True
    if len(values) < 2 or len(set(values)) < len(values):
        return False
    named = _NAMED_ID.search(name) is not None and not any(" " in value for value in values)
    return named or all(_ID.fullmatch(value.strip()) for value in values)
