"""Workbooks of Excel to rows of cells."""

from __future__ import annotations

import datetime
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from tunesmith.data.files.numbers import TIMES, finest
from tunesmith.data.files.sheet_cells import is_plain, shown
from tunesmith.data.files.tables import whole_file
from tunesmith.errors import DataError, Problem
from tunesmith.words import say

_LOOKED_AT = 50
"""Rows of a sheet that tell what it holds."""


def excel(path: Path) -> Iterator[list[Any]]:
    """Yields the rows of a workbook's sheets one after the other, without sheets of notes beside
    tables; raises DataError when the tables begin with different rows.
    """
    with _book(path) as book:
        sheets = _tables(book.worksheets)
        yield from _sheets(path, sheets, _forms(sheets))


def refuse_unsolved(path: Path) -> None:
    """Raises DataError where cells are formulas whose results the workbook does not hold: a program
    wrote it, and no spreadsheet has calculated it.
    """
    with whole_file(path) as file:
        found, to_calculate = _formulas_in(file)
    if not found:
        return
    unsolved: list[str] = []
    zeros: list[str] = []
    number = 0
    with _book(path) as solved, _book(path, solved=False) as written:
        for one, other in zip(solved.worksheets, written.worksheets, strict=True):
            for results, formulas in zip(one.iter_rows(), other.iter_rows(), strict=True):
                for result, formula in zip(results, formulas, strict=True):
                    if formula.data_type != "f":
                        continue
                    number += 1
                    told = formula.value if isinstance(formula.value, str) else ""
                    place = f"{one.title}!{formula.coordinate} {told}".rstrip()
                    # A result that is an empty text has its kind beside it.
                    if result.value is None and result.data_type != "str":
                        unsolved.append(place)
                    elif result.value == 0 and result.data_type == "n":
                        zeros.append(place)
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
            found = any(_holds_formula(book, name) for name in names)
            head = book.read("xl/workbook.xml") if found else b""
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError):
        return False, False
    return found, re.search(rb'fullCalcOnLoad="(?:1|true)"', head) is not None


def _holds_formula(book: zipfile.ZipFile, name: str) -> bool:
    with book.open(name) as sheet:
        rest = b""
        while piece := sheet.read(1 << 20):
            if _FORMULA.search(rest + piece):
                return True
            rest = piece[-100:]
    return False


def _forms(sheets: Sequence[Any]) -> dict[int, str]:
    """Returns how the times of each column are written: with what the finest of them needs. Sheets
    whose first rows hold no times are not read through.
    """
    found: dict[int, int] = {}
    for sheet in sheets:
        rows = sheet.iter_rows()
        first = list(islice(rows, _LOOKED_AT))
        if not any(isinstance(one.value, datetime.datetime) for row in first for one in row):
            continue
        for row in chain(first, rows):
            for place, one in enumerate(row):
                if isinstance(one.value, datetime.datetime) and is_plain(one):
                    found[place] = max(found.get(place, 0), finest(one.value))
    return {place: TIMES[needed] for place, needed in found.items()}


def notes_in(path: Path) -> tuple[str, ...]:
    """Returns the names of the sheets that hold no rows, because others hold a table."""
    with _book(path) as book:
        kept = [sheet.title for sheet in _tables(book.worksheets)]
        return tuple(
            sheet.title
            for sheet in book.worksheets
            if sheet.title not in kept and next(_filled(sheet), None) is not None
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


def _tables(sheets: Sequence[object]) -> list[Any]:
    """Returns the sheets that hold a table: several columns, and rows that fill them; all sheets
    where none does.
    """
    found = [sheet for sheet in sheets if _is_table(list(islice(_filled(sheet), _LOOKED_AT)))]
    return found or list(sheets)


def _is_table(rows: Sequence[list[object]]) -> bool:
    if len(rows) < 2:
        return False
    top, *body = ([cell is not None for cell in row] for row in rows)
    wide = sum(1 < sum(row) <= len(top) for row in body)
    return len(top) > 1 and all(top) and 2 * wide > len(body)


_TITLES = 3
"""Rows of one cell that may stand above a table."""


def _filled(sheet: Any, forms: Mapping[int, str] | None = None) -> Iterator[list[Any]]:
    """Yields the rows of a sheet that are not empty, without the empty cells at their ends and
    without a title above the table, as a merged cell holds it.
    """
    known = forms or {}
    found = (
        [shown(one, known.get(place, "")) for place, one in enumerate(row)]
        for row in sheet.iter_rows()
    )
    rows = (_trimmed(row) for row in found if any(one is not None for one in row))
    first = list(islice(rows, 2 * _TITLES))
    top = next((n for n, row in enumerate(first) if len(row) > 1), 0)
    # Where a table of one column has a second cell somewhere, the rows around it are narrow.
    table = top <= _TITLES and all(len(row) > 1 for row in first[top:])
    return chain(first[top:] if table else first, rows)


def _sheets(path: Path, sheets: Sequence[Any], forms: Mapping[int, str]) -> Iterator[list[object]]:
    top: list[object] | None = None
    for sheet in sheets:
        filled = _filled(sheet, forms)
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
