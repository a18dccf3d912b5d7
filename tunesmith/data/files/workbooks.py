"""Workbooks of Excel to rows of cells."""

from __future__ import annotations

import datetime
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from tunesmith.data.columns.names import is_usual
from tunesmith.data.files.numbers import TIMES, finest
from tunesmith.data.files.row_keys import HELD, TRAIN
from tunesmith.data.files.sheet_cells import is_plain, shown
from tunesmith.data.files.tables import whole_file
from tunesmith.errors import DataError, Problem
from tunesmith.words import say

_LOOKED_AT = 50
"""Rows of a sheet that tell what it holds."""


def excel(path: Path, part: str = "") -> Iterator[list[Any]]:
    """Yields the rows of a workbook's sheets one after the other, or of the sheet ``part`` alone,
    without hidden sheets and sheets of notes beside tables; raises DataError when the tables begin
    with different rows.
    """
    with _book(path) as book:
        sheets = [sheet for sheet in _tables(book.worksheets) if part in ("", sheet.title)]
        merged = {sheet.title: _merged(path, sheet) for sheet in sheets}
        yield from _sheets(path, sheets, merged, _forms(sheets))


def sheets_of(path: Path) -> list[str]:
    """Returns the names of the sheets that hold a table."""
    with _book(path) as book:
        return [sheet.title for sheet in _tables(book.worksheets)]


def training_sheet(path: Path) -> str:
    """Returns the sheet that is trained where the sheets are the parts of a data set, such as train
    and test; empty where they are not.
    """
    names = sheets_of(path)
    train = [name for name in names if name.strip().casefold() in TRAIN]
    rest = {name.strip().casefold() for name in names if name not in train}
    return train[0] if len(train) == 1 and rest and rest <= {*HELD} else ""


def refuse_unsolved(path: Path) -> None:
    """Raises DataError where cells are formulas whose results the workbook does not hold: a program
    wrote it, and no spreadsheet has calculated it.
    """
    with whole_file(path) as file:
        has_formulas, to_calculate = _formulas_in(file)
    if not has_formulas:
        return
    unsolved: list[str] = []
    zeros: list[str] = []
    number = 0
    with _book(path) as solved, _book(path, solved=False) as written:
        for solved_sheet, written_sheet in zip(solved.worksheets, written.worksheets, strict=True):
            for results, formulas in zip(
                solved_sheet.iter_rows(), written_sheet.iter_rows(), strict=True
            ):
                for result, formula in zip(results, formulas, strict=True):
                    if formula.data_type != "f":
                        continue
                    number += 1
                    formula_text = formula.value if isinstance(formula.value, str) else ""
                    where = f"{solved_sheet.title}!{formula.coordinate} {formula_text}".rstrip()
                    # A result that is an empty text has its kind beside it.
                    if result.value is None and result.data_type != "str":
                        unsolved.append(where)
                    elif result.value == 0 and result.data_type == "n":
                        zeros.append(where)
    if to_calculate and len(zeros) == number:  # XlsxWriter stores 0 for what is not calculated
        unsolved = zeros
    if unsolved:
        text = say("source.formulas", count=len(unsolved), cells="; ".join(unsolved[:3]))
        raise DataError(Problem(str(path), text))


_FORMULA = re.compile(rb"<(?:\w+:)?f[ />]")


def _formulas_in(file: BinaryIO) -> tuple[bool, bool]:
    """Tells whether any sheet holds formulas, and whether they wait to be calculated; a file that
    is no archive holds none.
    """
    try:
        with zipfile.ZipFile(file) as book:
            names = [name for name in book.namelist() if name.startswith("xl/worksheets/")]
            has_formulas = any(_holds_formula(book, name) for name in names)
            head = book.read("xl/workbook.xml") if has_formulas else b""
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError):
        return False, False
    return has_formulas, re.search(rb'fullCalcOnLoad="(?:1|true)"', head) is not None


def _holds_formula(book: zipfile.ZipFile, name: str) -> bool:
    return any(map(_FORMULA.search, _pieces(book, name)))


def _pieces(book: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Yields a part of a workbook in pieces, each with the end of the one before it."""
    with book.open(name) as sheet:
        rest = b""
        while piece := sheet.read(1 << 20):
            yield rest + piece
            rest = piece[-100:]


def _forms(sheets: Sequence[Any]) -> dict[int, str]:
    """Returns how the times of each column are written: with what the finest of them needs. Sheets
    whose first rows hold no times are not read through.
    """
    forms: dict[int, int] = {}
    for sheet in sheets:
        rows = sheet.iter_rows()
        first = list(islice(rows, _LOOKED_AT))
        if not any(isinstance(cell.value, datetime.datetime) for row in first for cell in row):
            continue
        for row in chain(first, rows):
            for column, cell in enumerate(row):
                if isinstance(cell.value, datetime.datetime) and is_plain(cell):
                    forms[column] = max(forms.get(column, 0), finest(cell.value))
    return {column: TIMES[needed] for column, needed in forms.items()}


def notes_in(path: Path) -> tuple[str, ...]:
    """Returns the names of the sheets that hold no rows, because others hold a table."""
    with _book(path) as book:
        kept = [sheet.title for sheet in _tables(book.worksheets)]
        return tuple(
            sheet.title
            for sheet in book.worksheets
            if sheet.title not in kept and next(_filled(sheet, _Merged()), None) is not None
        )


@contextmanager
def _book(path: Path, *, solved: bool = True) -> Iterator[Any]:
    """Opens a workbook, with the results of formulas or with the formulas; raises DataError where
    the file is not one.
    """
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    # SyntaxError is what the XML parser's own error is derived from.
    faults = (
        InvalidFileException,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        SyntaxError,
    )
    with whole_file(path) as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=solved)
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # some programs write a size that is none
            yield book
            book.close()
        except faults as error:
            raise DataError(Problem(str(path), say("source.excel", error=error))) from None


@dataclass(frozen=True)
class _Merged:
    """The merged cells of a sheet: ``down`` tells for each column, from 0, the first and the last
    row, from 1, of each of them; ``across`` are the rows in which some lie side by side.
    """

    down: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
    across: frozenset[int] = frozenset()


_RANGE = re.compile(rb'<(?:\w+:)?mergeCell ref="([A-Z]+)(\d+):([A-Z]+)(\d+)"')


def _merged(path: Path, sheet: Any) -> _Merged:
    """Reads which cells of a sheet are merged, which openpyxl does not tell of a sheet that it
    streams.
    """
    from openpyxl.utils import column_index_from_string

    down: dict[int, list[tuple[int, int]]] = {}
    across: set[int] = set()
    with whole_file(path) as file, zipfile.ZipFile(file) as book:
        ranges = {
            text for piece in _pieces(book, sheet._worksheet_path) for text in _RANGE.findall(piece)
        }
    for left, top, right, bottom in sorted(ranges):
        first = int(top)
        last = int(bottom)
        if left == right:
            column = column_index_from_string(left.decode()) - 1
            down.setdefault(column, []).append((first, last))
        else:
            across.add(first)
    return _Merged(down, frozenset(across))


def _tables(sheets: Sequence[object]) -> list[Any]:
    """Returns the sheets that hold a table: several columns, and rows that fill them; all sheets
    where none does. Hidden ones are no such sheets while others are shown.
    """
    seen = [sheet for sheet in sheets if _is_shown(sheet)] or list(sheets)
    with_table = [
        sheet for sheet in seen if _is_table(list(islice(_filled(sheet, _Merged()), _LOOKED_AT)))
    ]
    return with_table or seen


def _is_shown(sheet: Any) -> bool:
    return sheet.sheet_state == "visible"


def _is_table(rows: Sequence[list[object]]) -> bool:
    if len(rows) < 2:
        return False
    top, *body = ([cell is not None for cell in row] for row in rows)
    wide = sum(1 < sum(row) <= len(top) for row in body)
    return len(top) > 1 and all(top) and 2 * wide > len(body)


_TITLES = 3
"""Rows of one cell that may stand above a table."""


def _filled(
    sheet: Any, merged: _Merged, forms: Mapping[int, str] | None = None
) -> Iterator[list[Any]]:
    """Yields the rows of a sheet that are not empty, without the empty cells at their ends and
    before their first column, and without a title above the table, as a merged cell holds it. What
    is merged downwards stands in each of its rows.
    """
    cells = _cells(sheet, merged, forms or {})
    rows = ((n, _trimmed(row)) for n, row in cells if any(cell is not None for cell in row))
    numbered = list(islice(rows, 2 * _TITLES))
    first = [row for _, row in numbered]
    top = next((n for n, row in enumerate(first) if _width(row) > 1), 0)
    # Where a table of one column has a second cell somewhere, the rows around it are narrow.
    table = top <= _TITLES and all(len(row) > 1 for row in first[top:])
    top = top if table else 0
    if table and numbered:
        top = _names_at(numbered, top, merged)
    left = min(
        (n for row in first[top:] for n, cell in enumerate(row) if cell is not None), default=0
    )
    return (row[left:] for row in chain(first[top:], (row for _, row in rows)))


def _names_at(numbered: Sequence[tuple[int, list[Any]]], top: int, merged: _Merged) -> int:
    """Returns where the names of the columns stand: below a first line of groups, which is merged
    sideways and may share names with it, and below one that says who made the table.
    """
    while top + 1 < len(numbered):
        (line, row), (_, below) = numbered[top], numbered[top + 1]
        across = line in merged.across
        if across and any((line, line + 1) in spans for spans in merged.down.values()):
            return top + 1
        wider = _width(below) > _width(row) and all(isinstance(cell, str) for cell in below)
        usual = sum(map(is_usual, below)) if wider else 0
        named = 2 * usual >= len(below) if None in row else across
        if not (wider and (across or None in row) and named):
            return top
        top += 1
    return top


def _cells(
    sheet: Any, merged: _Merged, forms: Mapping[int, str]
) -> Iterator[tuple[int, list[Any]]]:
    """Yields the rows of a sheet with their numbers, what is merged downwards in each."""
    held: dict[int, Any] = {}
    starts = {
        (column, first): last for column in merged.down for first, last in merged.down[column]
    }
    ends: dict[int, int] = {}
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [
            shown(cell, forms.get(column_number, "")) for column_number, cell in enumerate(row)
        ]
        for column in merged.down:
            if (column, number) in starts and column < len(cells):
                held[column], ends[column] = cells[column], starts[column, number]
            elif number <= ends.get(column, 0) and any(cell is not None for cell in cells):
                cells += [None] * (column + 1 - len(cells))
                cells[column] = held[column]
        yield number, cells


def _width(row: Sequence[object]) -> int:
    return sum(cell is not None for cell in row)


def _sheets(
    path: Path, sheets: Sequence[Any], merged: Mapping[str, _Merged], forms: Mapping[int, str]
) -> Iterator[list[object]]:
    top: list[object] | None = None
    for sheet in sheets:
        filled = _filled(sheet, merged[sheet.title], forms)
        first = next(filled, None)
        if first is None:
            continue
        if top is None:
            top = first
            yield first
        elif first != top:
            raise DataError(
                Problem(f"{path}:{sheet.title}", say("source.sheets", first=sheets[0].title))
            )
        for row in filled:
            yield row + [None] * (len(top) - len(row))


def _trimmed(row: list[object]) -> list[object]:
    while row and row[-1] is None:
        row.pop()
    return row
