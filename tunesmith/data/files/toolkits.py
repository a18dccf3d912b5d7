"""Rows as other toolkits have them, where they mean another thing than their columns say: labels
and partners beside messages (ms-swift), steps that are judged (TRL), annotations (Prodigy).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.data.files.layout import Layout
from tunesmith.plain import JsonObject, Row


def _roles(turns: object) -> list[str]:
    """Returns who speaks in a list of messages; none where this is no such list."""
    listed = turns if isinstance(turns, list) else []
    roles = [str(turn.get("role")) for turn in listed if isinstance(turn, Mapping)]
    return roles if len(roles) == len(listed) else []


def _said(turns: Any) -> str | None:
    """Returns all that messages say, one after the other; None where they hold more than text."""
    texts: list[str] = []
    for turn in turns:
        content = turn.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        for part in parts:
            if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
                return None
            texts.append(part["text"])
    return "\n\n".join(text for text in texts if text.strip())


def _without(row: Row, *names: str) -> JsonObject:
    return {name: value for name, value in row.items() if name not in names}


def _is_labelled(row: Row) -> bool:
    roles = _roles(row.get("messages"))
    asked = bool(roles) and set(roles) <= {"system", "user"} and not _is_paired(row)
    return asked and row.get("label") is not None and _said(row["messages"]) is not None


def _labelled(row: Row) -> Iterator[JsonObject]:
    """Yields the text that the messages hold, with its label."""
    yield {**_without(row, "messages"), "text": _said(row["messages"])}


def _lists(value: object) -> list[Any] | None:
    """Returns lists of messages, of which one may stand alone; None where this is none."""
    if not isinstance(value, list) or not value:
        return None
    several = value if isinstance(value[0], list) else [value]
    return (
        several
        if all(_roles(messages) and _said(messages) is not None for messages in several)
        else None
    )


def _is_paired(row: Row) -> bool:
    return bool(_roles(row.get("messages"))) and _lists(row.get("positive_messages")) is not None


def _paired(row: Row) -> Iterator[JsonObject]:
    """Yields the text, those that belong to it, those that do not, and their grade."""
    pair = _without(row, "messages", "positive_messages", "negative_messages", "label")
    pair |= {"text": _said(row["messages"])}
    pair |= {"second": [_said(messages) for messages in _lists(row["positive_messages"]) or ()]}
    negatives = [_said(messages) for messages in _lists(row.get("negative_messages")) or ()]
    pair |= {"negatives": negatives} if negatives else {}
    yield pair if row.get("label") is None else {**pair, "similarity": row["label"]}


def _is_compared(row: Row) -> bool:
    return bool(_roles(row.get("messages"))) and bool(_roles(row.get("rejected_messages")))


def _compared(row: Row) -> Iterator[JsonObject]:
    """Yields two conversations, the first the better one."""
    two = {"chosen": row["messages"], "rejected": row["rejected_messages"]}
    yield {**_without(row, "messages", "rejected_messages"), **two}


def _is_document(row: Row) -> bool:
    turns = row.get("messages")
    return _roles(turns) == ["assistant"] and _said(turns) is not None


def _document(row: Row) -> Iterator[JsonObject]:
    """Yields the text that the only message holds, which nothing asks for."""
    yield {**_without(row, "messages"), "text": _said(row["messages"])}


def _is_stepwise(row: Row) -> bool:
    steps = row.get("completions")
    judged = row.get("labels")
    return (
        isinstance(steps, list)
        and isinstance(judged, list)
        and len(steps) == len(judged) > 0
        and all(isinstance(flag, bool) for flag in judged)
        and all(isinstance(step, str) for step in steps)
    )


def _stepwise(row: Row) -> Iterator[JsonObject]:
    """Yields the answer as it stands after each step, judged by this step, up to the first that is
    wrong.
    """
    kept = _without(row, "completions", "labels")
    for number, good in enumerate(row["labels"], 1):
        yield {**kept, "completion": "\n".join(row["completions"][:number]), "label": good}
        if not good:
            return


def _is_annotated(row: Row) -> bool:
    return "_task_hash" in row and row.get("answer") in ("accept", "reject", "ignore")


def _annotated(row: Row) -> Iterator[JsonObject]:
    """Yields what an annotator accepted: the options that were chosen, the places or the label;
    nothing of what was rejected or passed over.
    """
    if row["answer"] != "accept":
        return
    hidden = [name for name in row if name.startswith("_")]
    kept = _without(row, "answer", "accept", "options", "tokens", *hidden)
    if isinstance(row.get("accept"), list):
        kept["label"] = row["accept"]
    yield kept


TOOLKITS = {
    "ms-swift, for classification": Layout(_is_labelled, _labelled),
    "ms-swift, for embedding": Layout(_is_paired, _paired),
    "ms-swift, for preferences": Layout(_is_compared, _compared),
    "ms-swift, for pretraining": Layout(_is_document, _document),
    "TRL, for stepwise supervision": Layout(_is_stepwise, _stepwise),
    "Prodigy": Layout(_is_annotated, _annotated),
}
