"""Rows as Argilla gives them out, in all three of its forms: what people answered, as columns of
its questions; rows that nobody answered hold nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.data.files.layout import Layout
from tunesmith.plain import JsonObject, Row

_STATUS = ".responses.status"
_BESIDE = ("metadata", "external_id", "status", "_server_id", "inserted_at", "updated_at")


def _answer(responses: Any) -> Any:
    """Returns what the first person who finished the row answered; None where nobody did."""
    listed = responses if isinstance(responses, list) else []
    said = [one for one in listed if isinstance(one, Mapping)]
    done = [one for one in said if one.get("status", "submitted") == "submitted"]
    return done[0].get("value") if done else None


def _is_response(value: Any) -> bool:
    """Tells whether a cell holds what people answered to one question."""
    return isinstance(value, list) and all(
        isinstance(one, Mapping) and {"user_id", "value"} <= one.keys() for one in value
    )


def _without_extras(row: Row, answers: Row) -> JsonObject:
    """Returns the row's own fields and the answers, without what Argilla says beside them."""
    extras = tuple(f"{name}{mark}" for name in answers for mark in (".", "-suggestion"))
    kept = {
        name: value
        for name, value in row.items()
        if name not in _BESIDE and not name.startswith(extras)
    }
    return {**kept, **answers}


def _some(row: Row, answers: Row) -> Iterator[JsonObject]:
    if any(answer is not None for answer in answers.values()):
        yield _without_extras(row, answers)


def _is_dataset(row: Row) -> bool:
    return any(name.endswith(_STATUS) for name in row)


def _together(values: Any, states: Any) -> list[JsonObject]:
    """Returns what people answered, each with how far the answer is; nothing where one lacks."""
    if not isinstance(values, list) or not isinstance(states, list):
        return []
    pairs = zip(values, states, strict=False)
    return [{"value": value, "status": state} for value, state in pairs]


def _dataset(row: Row) -> Iterator[JsonObject]:
    """Yields the fields and the answers of ``to_datasets``, which keeps each answer's status in a
    column of its own.
    """
    answers: JsonObject = {}
    for name in row:
        if name.endswith(_STATUS):
            question = name.removesuffix(_STATUS)
            values = row.get(f"{question}.responses")
            answers[question] = _answer(_together(values, row[name]))
    yield from _some(row, answers)


def _is_records(row: Row) -> bool:
    parts = (row.get("fields"), row.get("responses"), row.get("suggestions"))
    return all(isinstance(part, Mapping) for part in parts)


def _records(row: Row) -> Iterator[JsonObject]:
    """Yields the fields and the answers of ``to_json``."""
    answers = {name: _answer(responses) for name, responses in row["responses"].items()}
    yield from _some({"id": row.get("id"), **row["fields"]}, answers)


def _is_feedback(row: Row) -> bool:
    return any(
        _is_response(row.get(name.removesuffix("-suggestion")))
        for name in row
        if name.endswith("-suggestion")
    )


def _feedback(row: Row) -> Iterator[JsonObject]:
    """Yields the fields and the answers of a data set for feedback."""
    asked = [name.removesuffix("-suggestion") for name in row if name.endswith("-suggestion")]
    answers = {name: _answer(row[name]) for name in asked if _is_response(row.get(name))}
    yield from _some(row, answers)


def _is_first(row: Row) -> bool:
    return {"prediction", "annotation", "annotation_agent", "status"} <= row.keys()


def _first(row: Row) -> Iterator[JsonObject]:
    """Yields the text of Argilla's first form with its classes, or with its entities."""
    said = row["annotation"]
    if said is None:
        return
    text = row.get("text")
    if text is None and isinstance(row.get("inputs"), Mapping):
        text = next(iter(row["inputs"].values()), None)
    if isinstance(said, list) and any(isinstance(one, list) for one in said):
        whole = [one for one in said if isinstance(one, list) and len(one) > 2]
        places = [[start, end, label] for label, start, end, *_ in whole]
        yield {"id": row.get("id"), "text": text, "entities": places}
    else:
        yield {"id": row.get("id"), "text": text, "label": said}


ARGILLA = {
    "Argilla": Layout(_is_dataset, _dataset),
    "Argilla's records": Layout(_is_records, _records),
    "Argilla, for feedback": Layout(_is_feedback, _feedback),
    "Argilla's first form": Layout(_is_first, _first),
}
