"""JSON files to rows: lines, arrays, objects of rows, rows under one key, and arrays headed by
their columns' names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from tunesmith.data.columns.names import plain
from tunesmith.data.columns.turns import LISTS, TURNS
from tunesmith.data.files import jsonstream, row_keys
from tunesmith.data.files.file_facts import Faults, FileFacts, Located
from tunesmith.data.files.jsonstream import Decoder
from tunesmith.plain import JsonObject
from tunesmith.words import say

_SHOWN = 10
ROWS = "rows"
"""What a list of rows within a list is called."""
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_PARTS = frozenset({*TURNS, *LISTS, "options", "choices", "tool_calls", "content", "Instances"})
"""Keys whose lists of objects are parts of one row, never the rows of a file."""


_FOLDED = frozenset({"instances", "paragraphs", "qas", "qa_pairs", "qapairs", "qa", ROWS})
_TABLE = re.compile(r'\s*\{\s*"(?:[^"\\\\]|\\\\.)*"\s*:\s*(?:\{\s*"-?\d+"\s*:|\[\s*[^\[{\s])')
"""A first column whose cells are numbered, or listed."""


def kind_of(value: object) -> str:
    """Returns the name, for an error, of the kind of a value that is not a row."""
    if value is None:
        return say("source.nulls")
    return say("source.booleans" if isinstance(value, bool) else "source.numbers")


def path_of_rows(sample: str) -> tuple[str, ...]:
    """Returns the keys under which a file of one object holds its rows; none where it holds them
    otherwise.
    """
    text = _COMMENTS.sub("", sample, count=1).lstrip()
    return (row_keys.path_of_rows(text, _PARTS) or ()) if text.startswith("{") else ()


def parts_of(stream: TextIO) -> list[str]:
    """Returns the keys that hold rows in a file of one object."""
    members = jsonstream.members(stream, Decoder())
    return [key for key, value in members if isinstance(value, list) and _holds_objects(value)]


def by_columns(sample: str) -> bool:
    """Tells whether a file may hold one object with a list or an object of cells for each column,
    as pandas' ``to_json()`` and ``to_dict()`` write tables.
    """
    return _TABLE.match(sample) is not None


def table_of(value: object) -> list[dict[str, object]] | None:
    """Returns the rows of a table written by columns; None where the value is not such a table."""
    if not isinstance(value, dict) or not value:
        return None
    names = value.get("columns")
    cells = value.get("data")
    if isinstance(names, list) and isinstance(cells, list):
        whole = all(isinstance(line, list) and len(line) == len(names) for line in cells)
        return [dict(zip(map(str, names), line, strict=True)) for line in cells] if whole else None
    columns = list(value.values())
    if all(isinstance(column, dict) for column in columns):
        keys = list(columns[0])
        same = bool(keys) and all(list(column) == keys for column in columns)
        numbered = same and all(key.lstrip("-").isdecimal() for key in keys)
        return [{name: value[name][key] for name in value} for key in keys] if numbered else None
    lists = all(isinstance(column, list) for column in columns) and not _PARTS & value.keys()
    if lists and len({len(column) for column in columns}) == 1 and len(columns[0]) > 1:
        return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return None


def unfolding(rows: Sequence[JsonObject]) -> tuple[str, ...]:
    """Finds the columns, one within the other, whose lists of objects are rows of their own:
    instances of Self-Instruct, paragraphs and qas of SQuAD, a list of rows within a list.
    """
    for name in dict.fromkeys(name for row in rows for name in row):
        if _keyed([row.get(name) for row in rows]):
            return (name,)
        lists = [row[name] for row in rows if row.get(name) not in (None, [])]
        objects = bool(lists) and all(map(_holds_objects, lists))
        if objects and name.casefold() in _FOLDED:
            return (name, *unfolding([inner for row in lists for inner in row]))
    return ()


def _keyed(values: Sequence[Any]) -> bool:
    """Tells whether these are objects of rows, by a key that no other has: the passages that WebQA
    (Li et al. 2016) gives to a question.
    """
    held = [value for value in values if value]
    if len(held) < 2 or not all(isinstance(group, dict) for group in held):
        return False
    keys = [key for group in held for key in group]
    inner = [inner_row for value in held for inner_row in value.values()]
    if len(set(keys)) < len(keys) or not all(
        isinstance(inner_row, dict) and inner_row for inner_row in inner
    ):
        return False
    return all(inner_row.keys() == inner[0].keys() for inner_row in inner)


def side_by_side(rows: Sequence[JsonObject]) -> tuple[str, ...]:
    """Finds the columns whose lists go together item by item: the questions on one text with their
    options and answers, as RACE (Lai et al. 2017) writes them.
    """
    if not rows:
        return ()
    names = [name for name, value in rows[0].items() if isinstance(value, list)]
    asked = [name for name in names if plain(name) in _QUESTIONS]
    answered = [name for name in names if plain(name) in _ANSWERS]
    if len(asked) != 1 or len(answered) != 1:
        return ()
    counts = [_count(row.get(asked[0])) for row in rows]
    alike = [
        name
        for name in names
        if 2 * sum(_count(row.get(name)) == count for row, count in zip(rows, counts, strict=True))
        > len(rows)  # a row whose lists differ is told as such
    ]
    items = [item for row in rows for name in (*asked, *answered) for item in row.get(name) or ()]
    all_plain = all(isinstance(item, str | int) for item in items)
    return tuple(alike) if all_plain and answered[0] in alike and max(counts) > 1 else ()


_QUESTIONS = frozenset({"questions", "question", "qs", "问题", "题目"})
_ANSWERS = frozenset({"answers", "answer", "labels", "solutions", "答案", "回答"})


def _count(value: object) -> int:
    return len(value) if isinstance(value, list) else -1


def apart(row: JsonObject, names: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yields a row for each place in lists that go together, with the columns around them; raises
    BrokenJson where the lists of a row differ in length.
    """
    lists = [value if isinstance(value := row.get(name), list) else [] for name in names]
    if len({len(values) for values in lists}) > 1:
        counts = ", ".join(
            f"{name}: {len(values)}" for name, values in zip(names, lists, strict=True)
        )
        raise jsonstream.BrokenJson(say("source.not_side_by_side", counts=counts))
    around = {name: value for name, value in row.items() if name not in names}
    for cells in zip(*lists, strict=True):
        yield {**around, **dict(zip(names, cells, strict=True))}


def unfolded(row: JsonObject, path: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yields the rows within a row, each with the columns around it."""
    if not path:
        yield row
        return
    around = {name: value for name, value in row.items() if name != path[0]}
    held = row.get(path[0]) or ()
    for inner in held.values() if isinstance(held, dict) else held:
        if isinstance(inner, dict):
            yield from unfolded({**around, **inner}, path[1:])


def _holds_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def shape_of(sample: str, complete: bool, suffix: str) -> tuple[str, bool] | None:
    """Recognises the JSON layout, and whether values are spread over lines; None where the text is
    not JSON.
    """
    text = _COMMENTS.sub("", sample, count=1).lstrip()
    begin = text[:1] + text[1:].lstrip()[:1]
    if begin in ("{'", '{"') and _of_python(text):
        return "python lines", False
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
        return "jsonl", line.strip() == "{" or _over_lines(text)
    return "jsonl", False


def _over_lines(text: str) -> bool:
    """Tells whether the first value is whole and spread over lines."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return False
    return "\n" in text[:end]


_COMMENTS = re.compile(r"\A(?:\s*(?://[^\n]*(?:\n|\Z)|#[^\n]*(?:\n|\Z)|/\*.*?\*/))+", re.DOTALL)
"""Comments above everything."""


def _of_python(text: str) -> bool:
    """Tells whether the first line is a row as Python's ``print`` writes it, and no JSON."""
    line = text.partition("\n")[0].strip()
    for parse, right in ((jsonstream.each, False), (jsonstream.parse_python, True)):
        try:
            parse(line, Decoder())
        except jsonstream.BrokenJson:
            if right:
                return False
        else:
            return right
    return False


def headed(file: FileFacts, read: Iterator[Located], faults: Faults) -> Iterator[Located]:
    """Yields the rows of arrays whose first array names the columns."""
    next(read, None)
    for located in read:
        number = located.number - (file.format != "jsonl")
        cells = list(located.row.values())
        if len(cells) == len(file.columns):
            yield Located(file.path, number, dict(zip(file.columns, cells, strict=True)))
        else:
            text = say(
                "source.ragged",
                count=len(cells),
                columns=len(file.columns),
                names=", ".join(file.columns),
            )
            faults.add(file.path, number, text)


def _json_lines(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    decoder = Decoder()
    if found.pretty:
        yield from _json_values(found, jsonstream.values(stream, decoder), faults, decoder)
        return
    for number, line in enumerate(stream, 1):
        text = line.strip().strip("\ufeff").strip()  # of files that were put together
        if not text:
            continue
        if text.startswith(("//", "#")):
            faults.skipped.append(Located(found.path, number, {"text": text[:80]}))
            continue
        try:
            values = (
                [jsonstream.parse_python(text, decoder)]
                if found.format == "python lines"
                else jsonstream.each(text, decoder)
            )
        except jsonstream.BrokenJson as error:
            decoder.twice.clear()
            # A line such as "......" is a filler left by whoever cut the file; it holds nothing
            # that could be lost.
            if any(letter.isalnum() for letter in text):
                faults.add(found.path, number, error.text)
            else:
                faults.skipped.append(Located(found.path, number, {"text": text[:80]}))
            continue
        if decoder.twice:
            faults.note_twice(found.path, number, decoder.twice)
        for value in values:
            yield from _located(found, number, value, faults)


def _json_array(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    decoder = Decoder()
    yield from _json_values(found, jsonstream.array(stream, decoder), faults, decoder)


def _json_list(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    assert found.key, f"{found.path} has no key of rows"
    decoder = Decoder()
    items = jsonstream.items_under(stream, found.key, decoder)
    yield from _json_values(found, items, faults, decoder)


def _json_columns(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    decoder = Decoder()
    for whole in jsonstream.values(stream, decoder):
        yield from _json_values(found, iter(table_of(whole) or ()), faults, decoder)


def _json_object(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    decoder = Decoder()
    read = (
        {"id": key, **(value if isinstance(value, dict) else {"value": value})}
        for key, value in jsonstream.members(stream, decoder)
    )
    yield from _json_values(found, read, faults, decoder)


def _json_values(
    found: FileFacts, values: Iterator[object], faults: Faults, decoder: Decoder
) -> Iterator[Located]:
    number = 0
    try:
        for number, value in enumerate(values, 1):
            if decoder.twice:
                faults.note_twice(found.path, number, decoder.twice)
            yield from _located(found, number, value, faults)
    except jsonstream.BrokenJson as error:
        faults.add(found.path, number + 1, error.text)


def _located(found: FileFacts, number: int, value: object, faults: Faults) -> Iterator[Located]:
    row = _as_row(value)
    if row is not None:
        yield Located(found.path, number, row)
        return
    faults.values += [value][: _SHOWN - len(faults.values)]
    seen = jsonstream.excerpt(json.dumps(value), 0)
    faults.add(found.path, number, say("source.no_row", seen=seen))


def _as_row(value: object) -> dict[str, object] | None:
    """Turns a value into a row: an object as it is, a list with its items numbered from 0, a bare
    text as ``text``; None for anything else.
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and _holds_objects(value):
        spoken = all({"role", "from", "speaker"} & item.keys() for item in value)
        return {"messages" if spoken else ROWS: value}
    if isinstance(value, list):
        return _passage(value) or {str(n): item for n, item in enumerate(value)}
    if not isinstance(value, str):
        return None
    return _written_twice(value) or {"text": value}


def _written_twice(text: str) -> dict[str, object] | None:
    """Returns the object whose JSON a text is, as where rows were written as JSON twice; None for
    any other text.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        values = [*jsonstream.each(text, Decoder())]
    except jsonstream.BrokenJson:
        return None
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else None


def _passage(value: list[object]) -> dict[str, object] | None:
    """Returns a passage and its questions, ``[[line, …], [{question, …}, …], id]`` as C3 and DREAM
    write them, under names; None for any other list.
    """
    lines, questions, *rest = [*value, None, None][: max(2, len(value))]
    lines = [lines] if isinstance(lines, str) else lines
    passage = isinstance(lines, list) and all(isinstance(line, str) for line in lines)
    if not (passage and questions and _holds_objects(questions) and len(rest) < 2):
        return None
    if not all("question" in one for one in questions):
        return None
    return {"context": "\n".join(lines), "qas": questions, **({"id": rest[0]} if rest else {})}


READ: dict[str, Callable[[FileFacts, object, Faults], Iterator[Located]]] = {
    "jsonl": _json_lines,
    "python lines": _json_lines,
    "json array": _json_array,
    "json list": _json_list,
    "json object": _json_object,
    "json columns": _json_columns,
}
