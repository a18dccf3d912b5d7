"""The answer of a cell that holds several in one of the ways of reading-comprehension sets."""

from __future__ import annotations

import json
from typing import Any

SEVERAL = frozenset({"answers", "outputs", "responses", "references", "targets"})
"""Names of columns that hold several right answers by nature."""

WRITTEN = frozenset(
    {"question", "query", "instruction", "input"}
    | {"answer", "output", "completion", "response", "target", "tgt"}
)
"""Fields that hold a text; an object in them is written as JSON."""


def first_answer(value: Any, name: str = "") -> Any:
    """Returns the first of several answers as SQuAD (Rajpurkar et al. 2016) writes them, ``{"text":
    […], "answer_start": […]}`` or ``[{"text": …}, …]``, or of the texts in a column whose name is
    plural; an empty text where there is none; any other value unchanged.
    """
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        texts = value["text"]
        return texts[0] if texts else ""
    if isinstance(value, dict) and {"text", "answer_start"} <= value.keys():
        return value["text"]
    if (
        isinstance(value, list)
        and value
        and all(isinstance(one, dict) and {"text", "answer_start"} <= one.keys() for one in value)
    ):
        return value[0]["text"]
    plural = name.casefold() in SEVERAL and isinstance(value, list)
    if plural and all(isinstance(one, str) for one in value):
        return value[0] if value else ""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    return value


def as_json(value: Any) -> Any:
    """Writes an object, or a list of objects, as JSON, which is an answer like any other text; any
    other value, turns of a conversation among them, is unchanged.
    """
    objects = value if isinstance(value, list) else [value]
    if not objects or not all(isinstance(one, dict) and one for one in objects):
        return value
    if any(_OF_TURNS & one.keys() for one in objects):
        return value
    return json.dumps(value, ensure_ascii=False)


_OF_TURNS = {"role", "from", "speaker", "type"}
"""Keys of turns, and of their parts."""
