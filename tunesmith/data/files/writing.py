"""Rows to a file, by the ending of its name: .jsonl, .json, .csv, .tsv or .parquet; whole or not at
all.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import fsync, held_file
from tunesmith.words import say

Rows = Iterable[JsonObject]
_GROUP = 10_000
"""Rows of a Parquet file that are held at a time."""


def write_rows(
    path: Path, rows: Callable[[], Iterator[JsonObject]], beside: Callable[[], None] | None = None
) -> int:
    """Writes what ``rows`` gives and returns the number of rows. A table's columns are those of all
    rows, which it reads twice for that. A crash leaves no part of a file.

    ``beside`` writes what belongs to the file, once all rows are written and before the file takes
    its place: where the file stands, all of it does.
    """
    write = writer_of(path)
    with held_file(path) as draft:
        count = write(draft, rows)
        if beside is not None:
            fsync(draft)  # so that next to no time passes between the two
            beside()
        return count


def writer_of(path: Path) -> Callable[[Path, Callable[[], Iterator[JsonObject]]], int]:
    """Returns the function that writes a file of this name; raises SpecError with the endings that
    there are.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        allowed = " ".join(_WRITERS)
        raise SpecError(Problem(str(path), say("transforms.no_format", known=allowed)))
    return write


def _jsonl(path: Path, rows: Callable[[], Iterator[JsonObject]]) -> int:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        return _each(file, rows(), lambda row, first: _text(row) + "\n")


def _json(path: Path, rows: Callable[[], Iterator[JsonObject]]) -> int:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        count = _each(file, rows(), lambda row, first: ("\n" if first else ",\n") + _text(row))
        file.write("\n]\n")
    return count


def _each(file: TextIO, rows: Rows, line: Callable[[JsonObject, bool], str]) -> int:
    count = 0
    for row in rows:
        file.write(line(row, count == 0))
        count += 1
    return count


def _table(delimiter: str) -> Callable[[Path, Callable[[], Iterator[JsonObject]]], int]:
    def write(path: Path, rows: Callable[[], Iterator[JsonObject]]) -> int:
        columns = _columns(rows())
        with open(path, "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            table.writerow(columns)
            return _each_cell(table, rows(), columns)

    return write


def _each_cell(table: Any, rows: Rows, columns: list[str]) -> int:
    count = 0
    for row in rows:
        table.writerow([_cell(row.get(name)) for name in columns])
        count += 1
    return count


def _parquet(path: Path, rows: Callable[[], Iterator[JsonObject]]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = _columns(rows())
    # One kind of value a column, or all as JSON: pyarrow holds no column of texts and lists.
    plain = _plain_columns(rows(), columns)
    texts = pa.large_string()
    arrow: dict[type | None, Any] = {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema: Any = None
    count = 0
    read = rows()
    writer: Any = None
    try:
        while part := list(islice(read, _GROUP)):
            data = {}
            for name in columns:
                values = [row.get(name) for row in part]
                data[name] = values if plain[name] else [*map(_cell, values)]
            if schema is None:
                schema = pa.schema([(name, arrow.get(plain[name], texts)) for name in columns])
                writer = pq.ParquetWriter(path, schema)
            writer.write_table(pa.table(data, schema=schema))
            count += len(part)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        pq.write_table(pa.table({}), path)
    return count


def _columns(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _plain_columns(rows: Rows, columns: list[str]) -> dict[str, type | None]:
    """Returns the one type of each column's values; None where they are of several, or not
    plain.
    """
    types_of: dict[str, set[type]] = {name: set() for name in columns}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                # Arrow's whole numbers have 64 bits.
                small = not isinstance(value, int) or value.bit_length() < 64
                types_of[name].add(type(value) if small else object)
    kinds = {
        name: next(iter(types)) if len(types) == 1 else None for name, types in types_of.items()
    }
    return {name: kind if kind in (str, int, float, bool) else None for name, kind in kinds.items()}


def _cell(value: object) -> Any:
    """Returns a table's cell: text as it is, lists and objects as JSON."""
    if value is None:
        return None
    return value if isinstance(value, str) else _text(value)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


_WRITERS = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".parquet": _parquet,
}
