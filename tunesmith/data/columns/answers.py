"""The answer of a cell that holds several in one of the ways of reading-comprehension sets."""

from __future__ import annotations

from typing import Any

SEVERAL = frozenset({"answers", "outputs", "responses", "references", "targets"})
"""Names of columns that hold several right answers by nature."""


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
