"""Any file to rows: its format, encoding and columns are found by what it holds, and rows are
streamed with their numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data.files import (
    conll,
    faq,
    jsonrows,
    jsonstream,
    keyed_answers,
    parts_of_rows,
    published,
    table_rows,
    tables,
    threads,
    workbooks,
)
from tunesmith.data.files.decoding import compressed, encoding_of, open_bytes
from tunesmith.data.files.file_facts import Faults, FileFacts, Located
from tunesmith.data.files.paths import files, on_disk
from tunesmith.data.files.yaml_rows import open_rows
from tunesmith.errors import DataError, Problem
from tunesmith.examples import parts_of
from tunesmith.plain import JsonObject
from tunesmith.storage.headers import is_pointer
from tunesmith.words import say

_SAMPLE = 1 << 20
DOCUMENT = "document"
"""The part of a text file that is all of it as one row: ``file.txt#document``."""
_FIRST = 20
"""Rows from which the columns are taken."""


def facts(path: Path, *, columns: Mapping[str, str] | None = None) -> FileFacts:
    """Returns format, encoding and columns of one file; ``columns`` (``data.columns``) settles
    whether a table has a header.
    """
    (file,) = files(path)[:1]
    try:
        stat = on_disk(file)[0].stat()
    except OSError as error:
        raise DataError(
            Problem(str(file), say("source.unreadable", error=error.strerror or error))
        ) from None
    return _facts(file, (stat.st_size, stat.st_mtime_ns), tuple((columns or {}).items()))


@lru_cache(maxsize=64)
def _facts(path: Path, _version: tuple[int, int], named: tuple[tuple[str, str], ...]) -> FileFacts:
    """Reads the facts of a file; cached for each version of the file, because its encoding is found
    by reading all of it.
    """
    with open_bytes(path) as stream:
        magic = stream.read(8)
    whole, part = on_disk(path)
    packed, suffix = compressed(whole), Path(whole.name.lower().removesuffix(".gz")).suffix
    if not magic:
        raise DataError(Problem(str(path), say("source.empty")))
    if is_pointer(whole):
        raise DataError(Problem(str(path), say("source.lfs_pointer")))
    if part in parts_of_rows.READ and _parts_in(facts(whole)) == part:
        return _put_together(replace(facts(whole), path=path), part)
    if part == DOCUMENT and suffix == ".txt":
        return FileFacts(path, DOCUMENT, encoding_of(path), packed, ("text",), None)
    if part == threads.REPLIES:
        thread = facts(whole)
        if thread.threads:
            replies = replace(thread, path=path, threads=part)
            if next(_read(replies, Faults()), None) is None:
                raise DataError(Problem(str(whole), say("source.no_replies")))
            return _with_columns(replies, dict(named))
    if part and not (magic[:4] == b"PK\x03\x04" and suffix in (".xlsx", ".xlsm")):
        return _with_columns(_part(path, packed, part), dict(named))
    if magic[:4] == b"PAR1":
        known_facts = FileFacts(path, "parquet", None, packed, (), None)
    elif tables.is_arrow(magic, suffix):
        known_facts = FileFacts(path, "arrow", None, packed, (), None)
    elif magic[:4] == b"PK\x03\x04" and suffix in (".xlsx", ".xlsm"):
        workbooks.refuse_unsolved(path)
        known_facts = _excel(path, packed, dict(named))
    elif magic[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0") or suffix in (
        ".parquet",
        ".xlsx",
        ".xlsm",
    ):
        named_so = "source.not_parquet" if suffix == ".parquet" else "source.not_excel"
        kind = {b"PK\x03\x04": "source.zip", b"\xd0\xcf\x11\xe0": "source.xls"}.get(
            magic[:4], named_so
        )
        raise DataError(Problem(str(path), say(kind)))
    else:
        known_facts = _text_facts(path, packed, suffix, dict(named))
    return known_facts if known_facts.columns else _with_columns(known_facts, dict(named))


def part_for(found: FileFacts, eats: type, *, named: bool) -> str:
    """Returns the part of a file, as ``file#part`` names it, that holds the rows which ``eats``
    asks for, where these are made of the file's own: ranked replies, conversations of turns,
    sentences of words. Empty where the file's own rows are meant, as where columns are ``named``.
    """
    if on_disk(found.path)[1]:
        return ""
    wanted = parts_of(eats)
    if found.threads:
        return wanted if wanted == threads.REPLIES else ""
    return wanted if wanted and not named and _parts_in(found) == wanted else ""


def _parts_in(found: FileFacts) -> str:
    """Returns what the file's rows are parts of; empty where each stands for itself."""
    return parts_of_rows.kind_of([each.row for each in islice(_read(found, Faults()), _FIRST)])


def _put_together(found: FileFacts, kind: str) -> FileFacts:
    """Adds what the rows are parts of, with the columns of the rows that these make."""
    found = replace(found, parts=kind, cells=found.columns)
    rows = [located.row for located in islice(_read(found, Faults()), _FIRST)]
    return replace(found, columns=tuple(dict.fromkeys(name for row in rows for name in row)))


def _excel(path: Path, packed: bool, named: dict[str, str]) -> FileFacts:
    """Returns the facts of a workbook, or of the sheet of it that ``file.xlsx#sheet`` names."""
    _, part = on_disk(path)
    if part and part not in workbooks.sheets_of(path):
        text = say("source.no_part", part=part, found=", ".join(workbooks.sheets_of(path)) or "-")
        raise DataError(Problem(str(path), text))
    sheet = part or workbooks.training_sheet(path)
    notes = () if part else workbooks.notes_in(path)
    book = FileFacts(
        path, "excel", None, packed, (), True, notes=notes, key=(sheet,) if sheet else ()
    )
    return _with_header(book, workbooks.excel(path, sheet), named, default=True)


def _first_of(row: JsonObject, names: tuple[str, ...]) -> JsonObject:
    """Returns the first item of each of these lists."""
    return {name: row[name][0] for name in names if isinstance(row.get(name), list) and row[name]}


def _part(path: Path, packed: bool, part: str) -> FileFacts:
    """Returns the facts of one part of a file that holds several; raises DataError where it has no
    part of this name.
    """
    names = parts(path)
    if part not in names:
        text = say("source.no_part", part=part, found=", ".join(names) or "-")
        raise DataError(Problem(str(path), text))
    return FileFacts(path, "json list", encoding_of(path), packed, (), None, key=(part,))


def parts(path: Path) -> list[str]:
    """Returns the names of the lists of rows that a JSON file holds side by side, or of a
    workbook's sheets.
    """
    if on_disk(path)[0].name.lower().removesuffix(".gz").endswith((".xlsx", ".xlsm")):
        return workbooks.sheets_of(path)
    with open_rows(path, encoding_of(path)) as stream:
        try:
            return jsonrows.parts_of(stream)
        except jsonstream.BrokenJson:
            return []


def _with_columns(found: FileFacts, named: dict[str, str]) -> FileFacts:
    """Adds the columns to a file's facts, from rows that name them or from arrays with a header."""
    faults = Faults()
    first = [located.row for located in islice(_read(found, faults), _FIRST)]
    if found.threads or threads.holds_messages(first):
        found = replace(found, threads=found.threads or threads.CONVERSATIONS)
        first = [located.row for located in islice(_read(found, faults), _FIRST)]
    layout = published.layout_of(first)
    if layout:
        found = replace(found, published=layout)
        first = [row for whole in first for row in published.LAYOUTS[layout].rows(whole)]
    path = jsonrows.unfolding(first)
    if path:
        found = replace(found, unfolded=path)
        first = [row for whole in first for row in jsonrows.unfolded(whole, path)]
    together = jsonrows.side_by_side(first)
    if together:
        found = replace(found, together=together)
        first = [{**whole, **_first_of(whole, together)} for whole in first]
    columns = tuple(dict.fromkeys(name for row in first for name in row))
    if not columns and not first and faults.values:
        kinds = ", ".join(dict.fromkeys(map(jsonrows.kind_of, faults.values)))
        raise DataError(
            Problem(
                str(found.path),
                say("source.not_rows", kinds=kinds, seen=json.dumps(faults.values[0])),
            )
        )
    if not first:
        faults.stop()
    if not columns:
        raise DataError(Problem(str(found.path), say("source.blank_rows")))
    numbered = all(list(row) == [str(n) for n in range(len(row))] for row in first)
    if numbered and len(first) > 1 and all(isinstance(cell, str) for cell in first[0].values()):
        top, body = list(first[0].values()), [list(row.values()) for row in first[1:]]
        if tables.has_header(top, body, columns=named, default=False):
            return FileFacts(
                **{**found.__dict__, "columns": tables.names(top, True, found.path), "header": True}
            )
    return FileFacts(**{**found.__dict__, "columns": columns})


_TABLES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")
"""Ends of names of files that hold rows, never a web page."""


def _text_facts(path: Path, packed: bool, suffix: str, named: dict[str, str]) -> FileFacts:
    encoding = encoding_of(path)
    with open_rows(path, encoding, newline="") as stream:
        sample = stream.read(_SAMPLE)
        complete = not stream.read(1)
    if not sample.strip():
        raise DataError(Problem(str(path), say("source.blank")))
    if suffix in _TABLES and sample.lstrip()[:14].lower().startswith(("<!doctype html", "<html")):
        raise DataError(Problem(str(path), say("source.web_page")))
    shape = jsonrows.shape_of(sample, complete, suffix)
    if shape:
        key = jsonrows.path_of_rows(sample)
        if key:
            return FileFacts(path, "json list", encoding, packed, (), None, key=key)
        if jsonrows.by_columns(sample) and _table_within(path, encoding):
            return FileFacts(path, "json columns", encoding, packed, (), None)
        paired = {*named.values()} <= {*keyed_answers.COLUMNS}
        if paired and keyed_answers.holds_answers(sample, complete):
            return FileFacts(path, keyed_answers.FORMAT, encoding, packed, (), None)
        return FileFacts(path, shape[0], encoding, packed, (), None, pretty=shape[1])
    if suffix not in (".csv", ".md") and conll.is_tagged(_whole_lines(sample, complete), suffix):
        return FileFacts(path, "conll", encoding, packed, ("tokens", "tags"), None)
    lines = _whole_lines(sample, complete)
    stated = tables.stated(sample)
    lines = lines[1:] if stated else lines
    mark = stated or tables.parted_by(lines)
    if suffix in (".csv", ".tsv") or (suffix != ".md" and (mark or tables.tabbed(lines))):
        usual = "\t" if suffix == ".tsv" else mark or tables.delimiter_of(sample)
        delimiter = stated or usual
        tab = delimiter == "\t"
        quotes = not tab or tables.quoted(lines)
        table = FileFacts(
            path, "tsv" if tab else "csv", encoding, packed, (), None, delimiter, quotes
        )
        try:
            with open_rows(path, encoding, newline="") as stream:
                read = tables.records(stream, delimiter=delimiter, quotes=quotes)
                return _with_header(table, read, named, default=suffix == ".csv")
        except tables.BadTable as error:
            raise DataError(Problem(str(path), error.text)) from None
    if suffix in ("", ".txt", ".md") and faq.is_faq(_whole_lines(sample, complete)):
        return FileFacts(path, "questions and answers", encoding, packed, faq.COLUMNS, None)
    return FileFacts(path, "text", encoding, packed, ("text",), None)


def _table_within(path: Path, encoding: str) -> bool:
    """Tells whether the file holds one table written by columns, which only reading all of it can
    show.
    """
    with open_rows(path, encoding) as stream:
        try:
            return jsonrows.table_of(json.load(stream)) is not None
        except ValueError:
            return False


def _whole_lines(sample: str, complete: bool) -> list[str]:
    lines = sample.splitlines()
    # The sample may end within a line.
    return lines if complete or len(lines) < 2 else lines[:-1]


def _with_header(
    table: FileFacts, rows: Iterator[Any], named: dict[str, str], *, default: bool
) -> FileFacts:
    first, body = tables.head(rows)
    if first is None:
        raise DataError(Problem(str(table.path), say("source.blank")))
    header = tables.has_header(first, body, columns=named, default=default)
    return FileFacts(
        **{**table.__dict__, "columns": tables.names(first, header, table.path), "header": header}
    )


def rows(
    path: Path, *, columns: Mapping[str, str] | None = None, faults: Faults | None = None
) -> Iterator[Located]:
    """Yields the rows of a file or of a folder's files, one by one.

    Rows that cannot be read are noted in ``faults`` and passed over; without it the first of them
    is a DataError.
    """
    for file in files(path):
        strict = Faults()
        for located in _read(facts(file, columns=columns), strict if faults is None else faults):
            if strict.count:
                strict.stop()
            yield located
        strict.stop()


def _read(found: FileFacts, faults: Faults) -> Iterator[Located]:
    if found.parts:
        whole = replace(found, parts="", columns=found.cells)
        yield from parts_of_rows.READ[found.parts](_read(whole, faults))
        return
    try:
        if found.format in ("parquet", "arrow"):
            columnar = tables.parquet if found.format == "parquet" else tables.arrow
            read = enumerate(columnar(found.path), 1)
            located = (Located(found.path, number, row) for number, row in read)
            yield from _within(found, located, faults)
        elif found.format == "excel":
            read = workbooks.excel(found.path, *found.key)
            yield from table_rows.read(found, read, faults)
        else:
            assert found.encoding, f"{found.path} has no encoding"
            table = found.format in ("csv", "tsv")
            with open_rows(found.path, found.encoding, newline="" if table else None) as stream:
                if table:
                    read = tables.records(stream, delimiter=found.delimiter, quotes=found.quotes)
                    yield from table_rows.read(found, read, faults)
                else:
                    read = _TEXT[found.format](found, stream, faults)
                    read = jsonrows.headed(found, read, faults) if found.header else read
                    yield from _within(found, read, faults)
    except tables.BadTable as error:
        faults.add(found.path, max(1, error.number - bool(found.header)), error.text)
    except UnicodeDecodeError as error:
        raise DataError(Problem(str(found.path), say("source.changed", error=error))) from None


def _within(found: FileFacts, read: Iterator[Located], faults: Faults) -> Iterator[Located]:
    """Yields the rows within rows, with new numbers; the rows as they are where they hold none."""
    if found.threads:
        yield from threads.READ[found.threads](read)
        return
    if not (found.published or found.unfolded or found.together):
        yield from read
        return
    number = 0
    for located in read:
        layout = published.LAYOUTS.get(found.published)
        if layout is not None and not layout.holds(located.row):
            text = say("source.other_layout", layout=found.published)
            faults.add(located.file, located.number, text)
            continue
        given = [*(layout.rows(located.row) if layout is not None else (located.row,))]
        if not given:
            faults.skipped.append(located)
        for whole in (inner for row in given for inner in jsonrows.unfolded(row, found.unfolded)):
            try:
                inner = [*jsonrows.apart(whole, found.together)] if found.together else [whole]
            except jsonrows.jsonstream.BrokenJson as error:
                faults.add(located.file, located.number, error.text)
                continue
            for row in inner:
                number += 1
                yield Located(found.path, number, row)


def _document(found: FileFacts, stream: Any, _: Faults) -> Iterator[Located]:
    if text := stream.read().strip():
        yield Located(found.path, 1, {"text": text})


def _lines(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield Located(found.path, number, {"text": line.rstrip("\n")})


_TEXT: dict[str, Callable[[FileFacts, object, Faults], Iterator[Located]]] = {
    "text": _lines,
    DOCUMENT: _document,
    "conll": conll.read,
    "questions and answers": faq.read,
    keyed_answers.FORMAT: keyed_answers.read,
    **jsonrows.READ,
}
