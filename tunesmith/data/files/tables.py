"""Tables to rows of cells: CSV and TSV by evidence of delimiter, quotes and header; Parquet and
Arrow.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from tunesmith.data.files.decoding import compressed, open_bytes
from tunesmith.data.files.numbers import TIMES, cell, within
from tunesmith.data.files.paths import on_disk
from tunesmith.errors import DataError, Problem
from tunesmith.plain import JsonObject
from tunesmith.words import say

# Python's own limit, 131 072 characters, is shorter than a long document.
_LONGEST_FIELD = 1 << 24
_BATCH = 256
_MANY = 1 << 16
"""Times that are looked at together."""
_UNITS = ("day", "second", "millisecond")
"""What a time is a whole number of in each of ``TIMES`` but the last."""
_SENTENCE_ENDS = ".。!！?？,，;；:：…\"”'"
_NAMES = (
    "id idx index key text content sentence sentence1 sentence2 label labels category class "
    "word words token tokens tag tags "
    "intent type title abstract summary "
    "question query prompt instruction input context passage document dialogue source src english "
    "chinese en zh lang "
    "answer response output completion reply target tgt golden score reasoning complex_cot cot "
    "think rationale system history messages conversations tunesmith_from "
    "编号 序号 问题 提问 题目 指令 输入 内容 文本 原文 标题 摘要 回答 答案 回复 输出 "
    "标签 类别 分类 分析 思考 推理 解析 评论 译文 中文 英文"
)


class BadTable(Exception):
    """A record that cannot be read; ``number`` counts from 1 and the message is for the user."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number, self.text = number, text


_STATED = re.compile(r'"?sep=([^"\r\n\w])"?(?:\1| )*(?:\r?\n|\r|\Z)', re.IGNORECASE)
"""A line above the header by which Excel is told the delimiter; it is no row."""


def stated(text: str) -> str:
    """Returns the delimiter that a first line ``sep=;`` names; empty where there is no such
    line.
    """
    statement = _STATED.match(text)
    return statement[1] if statement else ""


def delimiter_of(sample: str) -> str:
    """Finds the delimiter of a CSV file: the one most frequent in the first line, outside quotes; a
    comma where there is none.
    """
    line = sample.lstrip("\r\n")
    quoted = False
    counts = {",": 0, "\t": 0, ";": 0, "|": 0}
    for letter in line:
        if letter == '"':
            quoted = not quoted
        elif letter in "\r\n" and not quoted:
            break
        elif not quoted and letter in counts:
            counts[letter] += 1
    # A tab decides: text holds commas, seldom tabs.
    return "\t" if counts["\t"] else max(counts, key=lambda mark: counts[mark])


_PARTED = ("|||", "||", "_!_", "+++$+++", "\x01")
"""What parts the fields of lines where no field is quoted: translations, Chinese STS-B, Toutiao's
headlines, Cornell's films, Hive.
"""


def parted_by(lines: Sequence[str]) -> str:
    """Finds the mark that parts all lines into the same number of fields; empty where none does."""
    filled = [line for line in lines if line.strip()]
    for mark in _PARTED:
        counts = {line.count(mark) for line in filled}
        if len(counts) == 1 and counts != {0}:
            return mark
    return ""


def tabbed(lines: Sequence[str]) -> bool:
    """Tells whether nearly all lines hold the same number of tabs, at least one."""
    counts = [line.count("\t") for line in lines if line.strip()]
    return (
        bool(counts)
        and counts[0] > 0
        and sum(count == counts[0] for count in counts) >= 0.95 * len(counts)
    )


def quoted(lines: Sequence[str]) -> bool:
    """Tells whether quotes in a TSV file's first lines enclose fields; mostly they are part of the
    text there.
    """
    fields = [field for line in lines for field in line.split("\t") if field.startswith('"')]
    if not fields:
        return False
    if len({line.count("\t") for line in lines if line}) == 1:
        closed = all(
            len(field) > 1 and field.endswith('"') and '"' not in field[1:-1].replace('""', "")
            for field in fields
        )
        return closed and any('""' in field[1:-1] for field in fields)
    try:
        read = csv.reader((line + "\n" for line in lines), delimiter="\t", strict=True)
        return len({len(cells) for cells in read if cells}) == 1
    except csv.Error:
        return False


def has_header(
    first: Sequence[object],
    body: Sequence[Sequence[object]],
    *,
    columns: Mapping[str, str] | None,
    default: bool,
) -> bool:
    """Tells whether ``first`` names the columns of ``body``; ``columns`` settles this by naming
    them, or by numbering them.
    """
    cells = ["" if cell is None else str(cell).strip() for cell in first]
    named = set((columns or {}).values())
    if named and named <= set(cells):
        return True
    if named and all(name.isdecimal() and int(name) < len(cells) for name in named):
        return False
    if cells == [str(n) for n in range(len(cells))]:
        return True
    twice = {cell for cell in cells if cell and cells.count(cell) > 1}
    # A name that stands twice is told as that (see names), where the others are names.
    if (
        (twice and not _names_columns(cells))
        or _inside(cells).count("") > 1
        or any(_is_number(cell) for cell in cells)
    ):
        return False
    if any(len(cell) > 60 or (cell and cell[-1] in _SENTENCE_ENDS) for cell in cells):
        return False
    if len(cells) > 1 and _names_columns(cells):  # once more, in tables that were put together
        body = [row for row in body if [*row] != [*first]]
    below = [[str(row[n]) for row in body if n < len(row)] for n in range(len(cells))]
    if any(cell and cell in column for cell, column in zip(cells, below, strict=True)):
        return False
    usual = _NAMES.split()
    if any(cell.lower() in usual for cell in cells):
        return True
    return default or any(column and all(map(_is_number, column)) for column in below)


def _inside(cells: Sequence[str]) -> list[str]:
    """Returns the cells without the empty ones at the end, which spreadsheets leave behind."""
    filled = [n for n, cell in enumerate(cells) if cell]
    return list(cells[: filled[-1] + 1]) if filled else []


def _names_columns(cells: Sequence[str]) -> bool:
    """Tells whether a first row holds usual names of columns and nothing like a text or a
    number.
    """
    usual = sum(cell.lower() in _NAMES.split() for cell in cells)
    return 2 * usual >= len(cells) and not any(map(_is_number, cells))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def all_numbers(cells: Sequence[object]) -> bool:
    """Tells whether these cells hold only numbers, pandas' "nan" among them or nothing else; empty
    cells do not count.
    """
    filled = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    texts = [cell for cell in filled if cell.strip().lower() != "nan"]
    return bool(filled) and all(map(_is_number, texts))


def names(first: Sequence[object], header: bool, path: Path) -> tuple[str, ...]:
    """Returns the columns' names: the header's, or numbers from 0; an empty header cell gets its
    number.
    """
    if not header:
        return tuple(str(n) for n in range(len(first)))
    named = tuple(
        str(cell).strip("\ufeff").strip() if cell not in (None, "") else str(n)
        for n, cell in enumerate(first)
    )
    refuse_twice(named, path)
    return named


def repeats(cells: Sequence[object], columns: Sequence[str]) -> bool:
    """Tells whether a row is the header once more, as in tables that were put together."""
    return len(columns) > 1 and [*columns] == [
        cell.strip("\ufeff").strip() if isinstance(cell, str) else cell for cell in cells
    ]


def refuse_twice(names: Sequence[str], path: Path) -> None:
    """Raises DataError where two columns have one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(Problem(str(path), say("source.twice", names=", ".join(twice))))


def records(stream: TextIO, *, delimiter: str, quotes: bool) -> Iterator[list[str]]:
    """Yields the records of a CSV or TSV stream opened with ``newline=""``, without empty ones and
    without a first line that states the delimiter.
    """
    first = stream.readline()
    above = int(bool(stated(first)))
    lines: Iterable[str] = stream if above else chain((first,), stream)
    if len(delimiter) > 1 or delimiter == "\x01":
        yield from (
            [cell.strip() for cell in line.rstrip("\r\n").split(delimiter)]
            for line in lines
            if line.strip()
        )
        return
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    number = 0
    while True:
        number += 1
        begins = above + reader.line_num + 1  # the reader stops at a line that may be far below
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadTable(number, say("source.csv", line=begins, error=error)) from None
        if cells:
            yield cells
        else:
            number -= 1


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that can be read from any position; gzip is unpacked to a temporary file."""
    with open_bytes(path) as stream:
        if not compressed(on_disk(path)[0]):
            yield stream
            return
        with tempfile.TemporaryFile() as copy:
            while piece := stream.read(1 << 20):
                copy.write(piece)
            copy.seek(0)
            yield cast(BinaryIO, copy)


def parquet(path: Path) -> Iterator[dict[str, object]]:
    """Yields the rows of a Parquet file, with only a small batch in memory at a time."""
    import pyarrow
    import pyarrow.parquet

    with whole_file(path) as file:
        try:
            # Without prebuffering, and a batch of rows at a time, a large row group is not held
            # whole.
            table = pyarrow.parquet.ParquetFile(file, pre_buffer=False)
            refuse_twice(table.schema_arrow.names, path)
            forms = _forms(table)
            for batch in table.iter_batches(batch_size=_BATCH):
                yield from _rows_of(batch, table.schema_arrow, forms)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(Problem(str(path), say("source.parquet", error=error))) from None


def arrow(path: Path) -> Iterator[dict[str, object]]:
    """Yields the rows of a file in Arrow's own format, as the library datasets saves them."""
    import pyarrow

    with whole_file(path) as file:
        try:
            streamed = file.read(len(_ARROW_FILE)) != _ARROW_FILE
            file.seek(0)
            opened = pyarrow.ipc.open_stream(file) if streamed else pyarrow.ipc.open_file(file)
            refuse_twice(opened.schema.names, path)
            batches = (
                opened if streamed else map(opened.get_batch, range(opened.num_record_batches))
            )
            for batch in batches:
                for start in range(0, batch.num_rows, _BATCH):
                    yield from _rows_of(batch.slice(start, _BATCH), opened.schema, {})
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(Problem(str(path), say("source.arrow", error=error))) from None


_ARROW_FILE = b"ARROW1"


def is_arrow(magic: bytes, suffix: str) -> bool:
    """Tells whether a file is one of Arrow's, by its first bytes and its name."""
    begins = (_ARROW_FILE, b"\xff\xff\xff\xff")
    return suffix == ".arrow" and magic.startswith(begins)


def _rows_of(batch: Any, schema: Any, forms: Mapping[str, str]) -> Iterator[dict[str, object]]:
    names = _names(schema.metadata or {})
    deep = {field.name for field in schema if field.type.num_fields}
    for row in batch.to_pylist():
        cells = {
            name: within(value) if name in deep else cell(value, forms.get(name, ""))
            for name, value in row.items()
        }
        yield _with_names(cells, names)


def _forms(table: Any) -> dict[str, str]:
    """Returns how the times of each column of a Parquet file are written: with what the finest of
    them needs.
    """
    import pyarrow
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are made when it is imported
    forms: dict[str, str] = {}
    for field in table.schema_arrow:
        if not pyarrow.types.is_timestamp(field.type):
            continue
        finest = 0
        for batch in table.iter_batches(batch_size=_MANY, columns=[field.name]):
            times = batch.column(0).cast(pyarrow.timestamp(field.type.unit))
            while finest + 1 < len(TIMES):
                whole = compute.floor_temporal(times, unit=_UNITS[finest])
                if not compute.any(compute.not_equal(whole, times)).as_py():
                    break
                finest += 1
        forms[field.name] = TIMES[finest]
    return forms


def _names(head: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Returns, by column, the names behind lists of whole numbers such as ``ner_tags``, where the
    library datasets wrote them into the file's metadata.
    """
    names_of: dict[str, list[str]] = {}
    with suppress(ValueError, AttributeError):
        head_of_table = json.loads(head.get(b"huggingface", b"{}"))
        for column, feature in head_of_table.get("info", {}).get("features", {}).items():
            names = (feature.get("feature") or {}).get("names")
            if isinstance(names, list):
                names_of[column] = names
    return names_of


def _with_names(row: JsonObject, names: Mapping[str, list[str]]) -> dict[str, object]:
    for column, names_of in names.items():
        if row.get(column) is not None:
            row[column] = [names_of[n] if n in range(len(names_of)) else n for n in row[column]]
    return row


def head(
    rows: Iterator[Sequence[Any]], count: int = 50
) -> tuple[Sequence[Any] | None, list[Sequence[Any]]]:
    """Returns the first row and up to ``count`` rows below it."""
    return next(rows, None), list(islice(rows, count))
