"""What is known of a file, where each of its rows stands, and the rows that could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.errors import DataError, Problem
from tunesmith.plain import JsonObject
from tunesmith.words import say

_SHOWN = 10


@dataclass(frozen=True)
class Located:
    """One row and where it stands: ``number`` is its line in JSONL and text, else its place from 1,
    a header not counted.
    """

    file: Path
    number: int
    row: JsonObject

    @property
    def where(self) -> str:
        """``file:row``."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True)
class FileFacts:
    """What was found out about one file."""

    path: Path
    format: str
    """json array, jsonl, python lines, json object, json list (under ``key``), json columns, csv,
    tsv, parquet, excel, conll, questions and answers, or text.
    """
    encoding: str | None
    compressed: bool
    columns: tuple[str, ...]
    header: bool | None
    """Whether a table's first row names its columns; None where the question does not arise."""
    delimiter: str = ","
    quotes: bool = True
    pretty: bool = False
    """Whether JSON values that follow each other are spread over several lines."""
    key: tuple[str, ...] = ()
    """The keys above the rows in the one object that the file holds."""
    notes: tuple[str, ...] = ()
    """Sheets of a workbook that hold no rows."""
    unfolded: tuple[str, ...] = ()
    """The columns, one within the other, whose lists of objects are rows of their own."""
    together: tuple[str, ...] = ()
    """The columns whose lists go together item by item: each place is a row of its own."""
    threads: str = ""
    """What is made of rows that are messages of trees: conversations, or the replies to one
    message, which are ranked.
    """
    published: str = ""
    """The name of the published layout that the rows have, which explains them."""


@dataclass
class Faults:
    """Rows that could not be read (all counted, the first ten kept), and lines that are no rows."""

    first: list[Problem] = field(default_factory=list)
    count: int = 0
    skipped: list[Located] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    """The first values that stand where rows should: numbers, true, null."""

    def clear(self) -> None:
        """Forgets all, for rows that are read once more."""
        self.count = 0
        for found in (self.first, self.skipped, self.values):
            found.clear()

    def add(self, problem: Problem) -> None:
        """Notes a row that could not be read."""
        self.count += 1
        if self.count <= _SHOWN:
            self.first.append(problem)

    def stop(self) -> None:
        """Raises DataError with the first ten problems and the number of all, where there
        are any.
        """
        if self.count > len(self.first):
            raise DataError(
                [
                    *self.first,
                    Problem("", say("source.more", shown=len(self.first), count=self.count)),
                ]
            )
        if self.first:
            raise DataError(self.first)


class Names:
    """A short name for each file: its own, with its folder's where two files have the same."""

    def __init__(self) -> None:
        self.given: dict[str, Path] = {}

    def of(self, file: Path) -> str:
        """Returns a name for a file: always the same for one file, different for another."""
        names = [file.name, f"{file.parent.name}/{file.name}", str(file)]
        return next(name for name in names if self.given.setdefault(name, file) == file)
