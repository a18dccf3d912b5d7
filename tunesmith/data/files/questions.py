"""Own questions in a file: rows of any format, or texts, one a line or parted by lines of
``---``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from tunesmith.data.columns.names import QUESTION, TEXT, is_called
from tunesmith.data.files.decoding import encoding_of, open_text
from tunesmith.data.files.file_facts import FileFacts
from tunesmith.data.files.sources import facts, rows
from tunesmith.data.files.yaml_rows import is_yaml
from tunesmith.errors import DataError, Problem
from tunesmith.plain import JsonObject
from tunesmith.settings.yaml_file import read_yaml
from tunesmith.words import say

Questions = Mapping[str, JsonObject | str]
PARTING = "---"
"""A line between questions of several lines."""


def asked_in(path: Path) -> Questions:
    """Reads each row or text by the place that messages name; DataError where the file holds none,
    or something else.
    """
    return dict(each_asked(path))


def each_asked(path: Path) -> Iterator[tuple[str, JsonObject | str]]:
    """Yields the same one by one."""
    if is_yaml(path):
        questions = _listed(path)
    elif _has_texts(facts(path)):
        questions = _texts(path)
    else:
        questions = ((f"{path}:{located.number}", located.row) for located in rows(path))
    some = False
    for where, question in questions:
        some = True
        yield where, question
    if not some:
        raise DataError(Problem(str(path), say("source.no_question")))


def _has_texts(known: FileFacts) -> bool:
    table = known.format in ("csv", "tsv")
    return known.format == "text" or (table and len(known.columns) == 1)


def _listed(path: Path) -> Iterator[tuple[str, JsonObject | str]]:
    """Reads the items of a YAML list."""
    with open_text(path, encoding_of(path)) as stream:
        value = read_yaml(stream.read(), where=str(path))
    for number, item in enumerate(value if isinstance(value, list) else [value], 1):
        if not isinstance(item, dict | str):
            text = say("source.no_question_item", seen=repr(item))
            raise DataError(Problem(f"{path}:{number}", text))
        yield f"{path}:{number}", item.strip() if isinstance(item, str) else item


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Reads the texts with the places of their first lines; a column's name above them is none."""
    parted = any(line.strip() == PARTING for _, line in _lines(path))
    held: list[tuple[int, str]] = []
    for number, line in chain(_lines(path), [(0, PARTING)]):
        if number == 1 and path.suffix.lower() in (".csv", ".tsv") and _names_column(line):
            continue
        if parted and line.strip() != PARTING and number:
            held += [(number, line)] if held or line.strip() else []
            continue
        if held:
            yield f"{path}:{held[0][0]}", "\n".join(text for _, text in held).strip()
        held = []
        if not parted and number and line.strip():
            yield f"{path}:{number}", line.strip()


def _names_column(line: str) -> bool:
    return is_called(line, {*QUESTION, *TEXT})


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Reads the lines, one after the other, with their numbers."""
    number = 0
    with open_text(path, encoding_of(path)) as stream:
        for read in stream:
            for line in read.splitlines():
                number += 1
                yield number, line
