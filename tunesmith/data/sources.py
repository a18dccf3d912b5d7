"""Any file to rows: its format, encoding and columns are found by what it holds, and rows are streamed with their numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data import jsonstream, tables
from tunesmith.data.decoding import compressed, encoding_of, open_bytes, open_text
from tunesmith.data.files import files
from tunesmith.errors import DataError, Problem
from tunesmith.words import say

_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_SAMPLE = 1 << 20
_SHOWN = 10
_FIRST = 20
"""Rows from which the columns are taken."""


@dataclass(frozen=True)
class Located:
    """One row and where it stands: ``number`` is its line in JSONL and text, else its place from 1, a header not counted."""

    file: Path
    number: int
    row: dict[str, Any]

    @property
    def where(self) -> str:
        """``file:row``."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True)
class FileFacts:
    """What was found out about one file."""

    path: Path
    format: str
    """json array, jsonl, json object, csv, tsv, parquet, excel or text."""
    encoding: str | None
    compressed: bool
    columns: tuple[str, ...]
    header: bool | None
    """Whether a table's first row names its columns; None where the question does not arise."""
    delimiter: str = ","
    quotes: bool = True
    pretty: bool = False
    """Whether JSON values that follow each other are spread over several lines."""


@dataclass
class Faults:
    """Rows that could not be read (all counted, the first ten kept), and lines that are no rows."""

    first: list[Problem] = field(default_factory=list)
    count: int = 0
    skipped: list[Located] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Notes a row that could not be read."""
        self.count += 1
        if self.count <= _SHOWN:
            self.first.append(problem)

    def stop(self) -> None:
        """DataError with the first ten problems and the number of all, where there are any."""
        if self.count > len(self.first):
            raise DataError([*self.first, Problem("", say("source.more", shown=len(self.first), count=self.count))])
        if self.first:
            raise DataError(self.first)


def facts(path: Path, *, columns: Mapping[str, str] | None = None) -> FileFacts:
    """Format, encoding and columns of one file; ``columns`` (``data.columns``) settles whether a table has a header."""
    (file,) = files(path)[:1]
    try:
        stat = file.stat()
    except OSError as error:
        raise DataError(Problem(str(file), say("source.unreadable", error=error.strerror or error))) from None
    return _facts(file, (stat.st_size, stat.st_mtime_ns), tuple((columns or {}).items()))


@lru_cache(maxsize=64)
def _facts(path: Path, _version: tuple[int, int], named: tuple[tuple[str, str], ...]) -> FileFacts:
    """Kept per version of the file, because the encoding is found by reading all of it."""
    with open_bytes(path) as stream:
        magic = stream.read(8)
    packed, suffix = compressed(path), Path(path.name.lower().removesuffix(".gz")).suffix
    if not magic:
        raise DataError(Problem(str(path), say("source.empty")))
    if magic[:4] == b"PAR1":
        found = FileFacts(path, "parquet", None, packed, (), None)
    elif magic[:4] == b"PK\x03\x04" and suffix in (".xlsx", ".xlsm"):
        found = _with_header(FileFacts(path, "excel", None, packed, (), True), tables.excel(path), dict(named), default=True)
    elif magic[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0") or suffix == ".parquet":
        kind = {b"PK\x03\x04": "source.zip", b"\xd0\xcf\x11\xe0": "source.xls"}.get(magic[:4], "source.not_parquet")
        raise DataError(Problem(str(path), say(kind)))
    else:
        found = _text_facts(path, packed, suffix, dict(named))
    if found.columns:
        return found
    first: dict[str, None] = {}
    for located in islice(_read(found, Faults()), _FIRST):
        first.update(dict.fromkeys(located.row))
    return FileFacts(**{**found.__dict__, "columns": tuple(first)})


def _text_facts(path: Path, packed: bool, suffix: str, named: dict[str, str]) -> FileFacts:
    encoding = encoding_of(path)
    with open_text(path, encoding, newline="") as stream:
        sample = stream.read(_SAMPLE)
        complete = not stream.read(1)
    if not sample.strip():
        raise DataError(Problem(str(path), say("source.blank")))
    shape = _json_shape(sample, complete, suffix)
    if shape:
        return FileFacts(path, shape[0], encoding, packed, (), None, pretty=shape[1])
    if suffix in (".csv", ".tsv") or (suffix != ".md" and tables.tabbed(_whole_lines(sample, complete))):
        delimiter = "\t" if suffix == ".tsv" else tables.delimiter_of(sample)
        tab = delimiter == "\t"
        quotes = not tab or tables.quoted(_whole_lines(sample, complete))
        table = FileFacts(path, "tsv" if tab else "csv", encoding, packed, (), None, delimiter, quotes)
        try:
            with open_text(path, encoding, newline="") as stream:
                found = tables.records(stream, delimiter=delimiter, quotes=quotes)
                return _with_header(table, found, named, default=suffix == ".csv")
        except tables.BadTable as error:
            raise DataError(Problem(f"{path}:{error.number}", str(error))) from None
    return FileFacts(path, "text", encoding, packed, ("text",), None)


def _whole_lines(sample: str, complete: bool) -> list[str]:
    lines = sample.splitlines()
    return lines if complete or len(lines) < 2 else lines[:-1]


def _with_header(table: FileFacts, rows: Iterator[Any], named: dict[str, str], *, default: bool) -> FileFacts:
    first, body = tables.head(rows)
    if first is None:
        raise DataError(Problem(str(table.path), say("source.blank")))
    header = tables.has_header(first, body, columns=named, default=default)
    return FileFacts(**{**table.__dict__, "columns": tables.names(first, header, table.path), "header": header})


def _json_shape(sample: str, complete: bool, suffix: str) -> tuple[str, bool] | None:
    """Which JSON layout this is, and whether values are spread over lines; None where it is not JSON."""
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


def rows(path: Path, *, columns: Mapping[str, str] | None = None, faults: Faults | None = None) -> Iterator[Located]:
    """The rows of a file or of a folder's files, streamed.

    Rows that cannot be read are noted in ``faults`` and passed over; without it the first of them is a DataError.
    """
    for file in files(path):
        strict = Faults()
        for located in _read(facts(file, columns=columns), strict if faults is None else faults):
            strict.stop()
            yield located
        strict.stop()


def _read(found: FileFacts, faults: Faults) -> Iterator[Located]:
    try:
        if found.format == "parquet":
            for number, row in enumerate(tables.parquet(found.path), 1):
                yield Located(found.path, number, row)
        elif found.format == "excel":
            yield from _table(found, tables.excel(found.path), faults)
        else:
            assert found.encoding, f"{found.path} has no encoding"
            table = found.format in ("csv", "tsv")
            with open_text(found.path, found.encoding, newline="" if table else None) as stream:
                if table:
                    read = tables.records(stream, delimiter=found.delimiter, quotes=found.quotes)
                    yield from _table(found, read, faults)
                else:
                    yield from _TEXT[found.format](found, stream, faults)
    except tables.BadTable as error:
        faults.add(Problem(f"{found.path}:{max(1, error.number - bool(found.header))}", str(error)))
    except UnicodeDecodeError as error:
        raise DataError(Problem(str(found.path), say("source.changed", error=error))) from None


def _table(found: FileFacts, read: Iterator[list[Any]], faults: Faults) -> Iterator[Located]:
    for number, cells in enumerate(read, 0 if found.header else 1):
        if number == 0:
            continue
        if len(cells) == len(found.columns):
            yield Located(found.path, number, dict(zip(found.columns, cells, strict=True)))
        else:
            text = say("source.ragged", count=len(cells), columns=len(found.columns), names=", ".join(found.columns))
            faults.add(Problem(f"{found.path}:{number}", text))


def _lines(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield Located(found.path, number, {"text": line.rstrip("\n")})


def _json_lines(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    if found.pretty:
        yield from _json_values(found, enumerate(jsonstream.values(stream), 1), faults)
        return
    for number, line in enumerate(stream, 1):
        text = line.strip()
        if not text:
            continue
        try:
            row = _as_row(jsonstream.parse(text))
        except jsonstream.BrokenJson as error:
            # A line such as "......" is a filler left by whoever cut the file; it holds nothing that could be lost.
            if any(letter.isalnum() for letter in text):
                faults.add(Problem(f"{found.path}:{number}", str(error)))
            else:
                faults.skipped.append(Located(found.path, number, {"text": text[:80]}))
            continue
        if row is None:
            faults.add(Problem(f"{found.path}:{number}", say("source.no_row", seen=jsonstream.excerpt(text, 0))))
        else:
            yield Located(found.path, number, row)


def _json_array(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    yield from _json_values(found, enumerate(jsonstream.array(stream), 1), faults)


def _json_object(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    read = ({"id": key, **(value if isinstance(value, dict) else {"value": value})} for key, value in jsonstream.members(stream))
    yield from _json_values(found, enumerate(read, 1), faults)


def _json_values(found: FileFacts, numbered: Iterator[tuple[int, Any]], faults: Faults) -> Iterator[Located]:
    number = 0
    try:
        for number, value in numbered:
            row = _as_row(value)
            if row is None:
                faults.add(Problem(f"{found.path}:{number}", say("source.no_row", seen=jsonstream.excerpt(repr(value), 0))))
            else:
                yield Located(found.path, number, row)
    except jsonstream.BrokenJson as error:
        faults.add(Problem(f"{found.path}:{number + 1}", str(error)))


def _as_row(value: Any) -> dict[str, Any] | None:
    """A record as it is, a list with its items numbered from 0, a bare text as a text; None for anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(n): item for n, item in enumerate(value)}
    return {"text": value} if isinstance(value, str) else None


_TEXT: dict[str, Callable[[FileFacts, Any, Faults], Iterator[Located]]] = {
    "text": _lines,
    "jsonl": _json_lines,
    "json array": _json_array,
    "json object": _json_object,
}
