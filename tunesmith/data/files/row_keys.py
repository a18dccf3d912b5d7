"""The keys under which a file of one JSON object holds its rows."""

from __future__ import annotations

import json
from collections.abc import Container

from tunesmith.data.files.jsonstream import space

_DECODER = json.JSONDecoder()
_ROWS = frozenset(
    {
        "data",
        "rows",
        "examples",
        "items",
        "records",
        "list",
        "instances",
        "samples",
        "train",
        "dataset",
        "数据",
    }
)
_AROUND = frozenset({"result", "results", "response", "payload", "body", "content"})
"""Keys of an object that may hold the rows one level further down."""
TRAIN = frozenset({"train", "training", "train_set", "训练集"})
HELD = (
    "test",
    "testing",
    "validation",
    "valid",
    "val",
    "dev",
    "eval",
    "evaluation",
    "测试集",
    "验证集",
)
"""What the parts of a data set are called, the test part first."""


def path_of_rows(text: str, never: Container[str]) -> tuple[str, ...] | None:
    """Returns the keys above the rows of ``{"data": [{…}, …], "version": 1}``, ``{"data": {"rows":
    [{…}, …]}}`` or ``{"train": [{…}, …], "test": […]}``, from a text that may be cut off; None
    where there are none.

    ``never`` are keys whose lists of objects belong to a row.
    """
    lists: list[tuple[tuple[str, ...], int]] = []
    at = space(text, 1)
    keys = 0
    whole = False
    try:
        while text[at : at + 1] == '"':
            key, end = _DECODER.raw_decode(text, at)
            at = space(text, space(text, end) + 1)
            keys += 1
            path = _path_within(text, at, key, never)
            try:
                value, end = _DECODER.raw_decode(text, at)
            except ValueError:
                lists += [(path, 0)] if path else []
                return _one_of(lists, keys, cut=True)
            if path:
                lists.append((path, len(value)))
            at = space(text, end)
            whole = text[at : at + 1] == "}" and not text[at + 1 :].strip()
            if text[at : at + 1] == "}":
                break
            at = space(text, at + 1)
    except ValueError:
        pass
    return _one_of(lists, keys, cut=False) if whole else None


def _path_within(text: str, at: int, key: str, never: Container[str]) -> tuple[str, ...] | None:
    """Returns the path to a list of objects within the value at ``at`` under ``key``."""
    if text[at : at + 1] == "[":
        begin = text[space(text, at + 1) :][:1]
        # Of lists only what is trained is told apart from columns, which are lists too.
        rows = begin == "{" or (begin == "[" and key.casefold() in TRAIN | {*HELD})
        return (key,) if rows and key not in never else None
    if text[at : at + 1] == "{" and key.casefold() in _ROWS | _AROUND:
        below = path_of_rows(text[at:].rstrip(), never) or _cut_below(text[at:], never)
        return (key, *below) if below and below[0].casefold() in _ROWS else None
    return None


def _cut_below(text: str, never: Container[str]) -> tuple[str, ...] | None:
    """Applies ``path_of_rows`` to an object that is followed by more text."""
    try:
        _, end = _DECODER.raw_decode(text)
    except ValueError:
        return None
    return path_of_rows(text[:end], never)


def _one_of(
    found: list[tuple[tuple[str, ...], int]], keys: int, *, cut: bool
) -> tuple[str, ...] | None:
    """Chooses the path of the training rows; among several parts this is ``train``."""
    parts = [path for path, _ in found]
    train = [path for path in parts if path[-1].casefold() in TRAIN]
    if len(parts) > 1:
        rest = {path[-1].casefold() for path in parts} - TRAIN
        return train[0] if len(train) == 1 and rest <= {*HELD} else None
    if not parts:
        return None
    only = parts[0]
    sure = cut or keys == 1 or len(only) > 1 or only[:1] in {(name,) for name in _ROWS}
    return only if sure or found[0][1] > 2 else None
