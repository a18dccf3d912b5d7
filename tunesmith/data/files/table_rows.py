"""The cells of a table as its rows, without lines that are none: the header once more, a total."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tunesmith.data.files import tables
from tunesmith.data.files.file_facts import Faults, FileFacts, Located
from tunesmith.data.files.sheet_cells import ERRORS
from tunesmith.words import say

_TOTAL = frozenset(
    {
        *("total", "totals", "grand total", "subtotal", "sum"),
        *("合计", "总计", "小计", "总和", "共计", "总数", "汇总"),
    }
)
_AMOUNT = re.compile(r"[-+¥￥$€£]?\s*\d[\d,，.]*\s*(?:[%％]|[^\W\d_]{1,5})?")


def read(found: FileFacts, records: Iterator[list[Any]], faults: Faults) -> Iterator[Located]:
    """Yields the rows of a table; records that are no rows are noted in ``faults``."""
    before: tuple[int, list[Any]] | None = None
    for number, cells in enumerate(records, 0 if found.header else 1):
        if number == 0:
            continue
        if before is not None:
            # Below each sheet of a workbook there may be a total.
            yield from _row(found, *before, faults, last=found.format == "excel")
        before = number, cells
    if before is not None:
        yield from _row(found, *before, faults, last=True)


def is_total(cells: Sequence[Any]) -> bool:
    """Tells whether a table's last record adds up those above it: it says so in its first cell, and
    holds nothing else but amounts.
    """
    filled = [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]
    if len(filled) < 2 or filled[0].rstrip(":： ").casefold() not in _TOTAL:
        return False
    return all(map(_AMOUNT.fullmatch, filled[1:]))


def _row(
    found: FileFacts, number: int, cells: list[Any], faults: Faults, *, last: bool
) -> Iterator[Located]:
    """Yields the row that a record is; where it may be the ``last`` one, it may be a total."""
    total = last and number > 1 and is_total(cells)
    if found.header and (total or tables.repeats(cells, found.columns)):
        _skip(found, number, cells, faults)
        return
    if len(cells) == len(found.columns):
        row = dict(zip(found.columns, cells, strict=True))
        if not ERRORS.isdisjoint(cells):
            faults.note_errors(found.path, number, row, ERRORS)
        yield Located(found.path, number, row)
        return
    text = say(
        "source.ragged",
        count=len(cells),
        columns=len(found.columns),
        names=", ".join(found.columns),
    )
    faults.add(found.path, number, text)


def _skip(found: FileFacts, number: int, cells: list[Any], faults: Faults) -> None:
    text = found.delimiter.join("" if cell is None else str(cell) for cell in cells)[:80]
    faults.skipped.append(Located(found.path, number, {"text": text}))
