"""JSON files to rows: lines, arrays, objects of rows, rows under one key, and arrays headed by
their columns' names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tunesmith.data.columns.turns import LISTS, TURNS
from tunesmith.data.files import jsonstream
from tunesmith.data.files.located import Faults, FileFacts, Located
from tunesmith.errors import Problem
from tunesmith.words import say

_SHOWN = 10
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_PARTS = frozenset({*TURNS, *LISTS, "options", "choices", "tool_calls", "content"})
"""Keys whose lists of objects are parts of one row, never the rows of a file."""


def kind_of(value: Any) -> str:
    """What a value that is no row is called."""
    return say(
        "source.nulls"
        if value is None
        else "source.booleans"
        if isinstance(value, bool)
        else "source.numbers"
    )


def key_of_rows(sample: str) -> str | None:
    """The key under which a file of one object holds its rows."""
    text = sample.lstrip()
    return jsonstream.key_of_rows(text, _PARTS) if text.startswith("{") else None


def shape_of(sample: str, complete: bool, suffix: str) -> tuple[str, bool] | None:
    """Which JSON layout this is, and whether values are spread over lines; None where it is not
    JSON.
    """
    text = sample.lstrip()
    begin = text[:1] + text[1:].lstrip()[:1]
    if suffix not in _JSON_SUFFIXES and begin not in ('{"', "[{", "[[", '["'):
        return None
    line, _, rest = text.partition("\n")
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if value is not None and rest.strip():
        return "jsonl", False
    if value is not None and complete:
        if isinstance(value, dict):
            keyed = bool(value) and all(isinstance(item, dict) for item in value.values())
            return ("json object" if keyed else "jsonl"), False
        return ("json array" if isinstance(value, list) else "jsonl"), False
    if begin.startswith("["):
        return "json array", False
    if begin.startswith("{"):
        try:
            _, end = json.JSONDecoder().raw_decode(text, text.index('"'))
        except ValueError:
            return "jsonl", False
        if text[end:].lstrip(" \t\r\n:")[:1] == "{":
            return "json object", False
        return "jsonl", line.strip() == "{"
    return "jsonl", False


def headed(found: FileFacts, read: Iterator[Located], faults: Faults) -> Iterator[Located]:
    """Rows of arrays, of which the first names the columns of the others."""
    next(read, None)
    for located in read:
        number = located.number - (found.format != "jsonl")
        cells = list(located.row.values())
        if len(cells) == len(found.columns):
            yield Located(found.path, number, dict(zip(found.columns, cells, strict=True)))
        else:
            text = say(
                "source.ragged",
                count=len(cells),
                columns=len(found.columns),
                names=", ".join(found.columns),
            )
            faults.add(Problem(f"{found.path}:{number}", text))


def _json_lines(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    if found.pretty:
        yield from _json_values(found, enumerate(jsonstream.values(stream), 1), faults)
        return
    for number, line in enumerate(stream, 1):
        text = line.strip()
        if not text:
            continue
        try:
            value = jsonstream.parse(text)
        except jsonstream.BrokenJson as error:
            # A line such as "......" is a filler left by whoever cut the file; it holds nothing
            # that could be lost.
            if any(letter.isalnum() for letter in text):
                faults.add(Problem(f"{found.path}:{number}", str(error)))
            else:
                faults.skipped.append(Located(found.path, number, {"text": text[:80]}))
            continue
        yield from _located(found, number, value, faults)


def _json_array(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    yield from _json_values(found, enumerate(jsonstream.array(stream), 1), faults)


def _json_list(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    assert found.key is not None, f"{found.path} has no key of rows"
    yield from _json_values(found, enumerate(jsonstream.items_under(stream, found.key), 1), faults)


def _json_object(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    read = (
        {"id": key, **(value if isinstance(value, dict) else {"value": value})}
        for key, value in jsonstream.members(stream)
    )
    yield from _json_values(found, enumerate(read, 1), faults)


def _json_values(
    found: FileFacts, numbered: Iterator[tuple[int, Any]], faults: Faults
) -> Iterator[Located]:
    number = 0
    try:
        for number, value in numbered:
            yield from _located(found, number, value, faults)
    except jsonstream.BrokenJson as error:
        faults.add(Problem(f"{found.path}:{number + 1}", str(error)))


def _located(found: FileFacts, number: int, value: Any, faults: Faults) -> Iterator[Located]:
    row = _as_row(value)
    if row is not None:
        yield Located(found.path, number, row)
        return
    faults.values += [value][: _SHOWN - len(faults.values)]
    faults.add(
        Problem(
            f"{found.path}:{number}",
            say("source.no_row", seen=jsonstream.excerpt(json.dumps(value), 0)),
        )
    )


def _as_row(value: Any) -> dict[str, Any] | None:
    """A record as it is, a list with its items numbered from 0, a bare text as a text; None for
    anything else.
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(n): item for n, item in enumerate(value)}
    return {"text": value} if isinstance(value, str) else None


READ: dict[str, Callable[[FileFacts, Any, Faults], Iterator[Located]]] = {
    "jsonl": _json_lines,
    "json array": _json_array,
    "json list": _json_list,
    "json object": _json_object,
}
