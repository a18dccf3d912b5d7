"""What is known of a file, where each of its rows stands, and the rows that could not be read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.errors import Alike, DataError, Problem
from tunesmith.plain import JsonObject
from tunesmith.words import say, some


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
    tsv, parquet, arrow, excel, conll, questions and answers, text, or document (a text as one row).
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
    parts: str = ""
    """What the rows of the file are parts of, which are put together: turns, or words."""
    cells: tuple[str, ...] = ()
    """The columns of the file's own rows, where these are parts of the rows that are read."""
    published: str = ""
    """The name of the published layout that the rows have, which explains them."""


@dataclass(frozen=True)
class Twice:
    """A key that one object has twice or more, and its values, of which the last counts."""

    key: str
    values: tuple[Any, ...]


@dataclass
class Faults:
    """Rows that could not be read, those with the same fault together, and lines that are no
    rows.
    """

    count: int = 0
    skipped: list[Located] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    """The first values that stand where rows should: numbers, true, null."""

    odd: dict[tuple[Path, str, str], tuple[str, list[int]]] = field(default_factory=dict)
    """What is odd about keys and columns of rows that could be read, by file and by the key of its
    text: what the first such row holds, and the numbers of the rows.
    """
    alike: Alike = field(default_factory=Alike)

    def clear(self) -> None:
        """Forgets all, for rows that are read once more."""
        self.count, self.alike = 0, Alike()
        self.skipped.clear()
        self.values.clear()
        self.odd.clear()

    def note_twice(self, file: Path, number: int, met: list[Twice]) -> None:
        """Notes the keys that were ``met`` twice in a row, and clears them."""
        for twice in met:
            values = say("source.then").join(map(_quoted, twice.values[:3]))
            self._note((file, "key_twice", twice.key), number, values)
        met.clear()

    def note_errors(self, file: Path, number: int, row: JsonObject, errors: frozenset[str]) -> None:
        """Notes the cells of a row that hold an error of a spreadsheet, and empties them."""
        for column, value in row.items():
            if value in errors:
                row[column] = None
                self._note((file, "cell_error", column), number, value)

    def _note(self, what: tuple[Path, str, str], number: int, seen: str) -> None:
        numbers = self.odd.setdefault(what, (seen, []))[1]
        if number not in numbers[-1:]:
            numbers.append(number)

    def notes(self) -> list[str]:
        """Returns a line for each thing that is odd about rows that could be read."""
        return [
            say(
                f"source.{what}",
                file=file.name,
                key=key,
                count=len(numbers),
                rows=some([str(number) for number in numbers]),
                seen=seen,
            )
            for (file, what, key), (seen, numbers) in self.odd.items()
        ]

    def add(self, file: Path, number: int, text: str, within: str = "") -> None:
        """Notes a row that could not be read, and the field ``within`` it."""
        self.count += 1
        self.alike.add(f"{file}:{number}", Problem(within, text))

    def stop(self) -> None:
        """Raises DataError with each kind of fault at its first row, where there are any."""
        if self.count:
            raise DataError(self.alike.told())


def _quoted(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:39]}…"


class Names:
    """A short name for each file: its own, with its folder's where two files have the same."""

    def __init__(self) -> None:
        self.given: dict[str, Path] = {}

    def of(self, file: Path) -> str:
        """Returns a name for a file: always the same for one file, different for another."""
        names = [file.name, f"{file.parent.name}/{file.name}", str(file)]
        return next(name for name in names if self.given.setdefault(name, file) == file)
