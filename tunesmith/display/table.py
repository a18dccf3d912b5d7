"""Aligns columns of text and writes byte counts for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tunesmith.words import language, written


def readable(count: float) -> str:
    """Formats bytes for a person."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("the loop ends at GiB")


def table_lines(table: Sequence[Sequence[str]], *, numbers: int) -> list[str]:
    """Aligns a table; ``numbers`` columns after the first are aligned to the right. Shares are
    written as in the language of the process.
    """
    rows = [[str(written(cell, language())) for cell in row] for row in table]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = [
        [
            _pad(cell, width, right=0 < i <= numbers)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return ["  " + "  ".join(row).rstrip() for row in aligned]


def _pad(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if right else text + space
