"""``tunesmith data convert``: the rows of any file that is read, written in one layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.columns.turns import TURNS
from tunesmith.data.files.file_facts import Faults
from tunesmith.data.files.writing import write_rows
from tunesmith.data.find import find_data
from tunesmith.data.layouts import FIELDS, Layout, row_of
from tunesmith.data.reading import Reading
from tunesmith.data.steps import place_to_write, write_account
from tunesmith.data.transforms import Account, came_from
from tunesmith.errors import DataError
from tunesmith.examples import Chat
from tunesmith.plain import JsonObject
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Data
from tunesmith.settings.spec import Spec, Word
from tunesmith.words import say

OTHER = "other_"
"""Before the name of a column that the layout would take for its own."""


class Convert(Spec):
    """How rows are read, and how they are written."""

    to: Layout = "messages"
    """How a conversation is written; other rows have one form each."""
    objective: str = "sft"
    """What the rows are for, where a file could be read in several ways: dpo, kto, classify."""
    columns: dict[str, Word] | None = None
    """Our names to the file's, as ``data.columns``."""
    reader: str | None = None
    """The reader by name, as ``data.reader``."""


class _Whole(Reading):
    """Rows of which no column is lost."""

    keeps = True


def convert(source: str, out: Path, settings: Convert) -> Account:
    """Writes what the rows of ``source`` mean to ``out``; DataError with the rows that
    the layout has no place for, and nothing is written.
    """
    target = place_to_write(out, find_data(source))
    data = Data(path=source, columns=settings.columns, reader=settings.reader)
    reading = _Whole(data, OBJECTIVES.get(settings.objective).eats)
    account = Account()
    renamed: set[str] = set()

    def written() -> Iterator[JsonObject]:
        faults = Faults()
        account.read = account.written = 0
        for located, example in reading:
            account.written += 1
            made: JsonObject = {}
            try:
                made = row_of(example, settings.to)
            except DataError as error:
                for problem in error.problems:
                    faults.add(located.file, located.number, problem.text, problem.where)
            taken = {*made, *TURNS, *(FIELDS[settings.to] if isinstance(example, Chat) else ())}
            beside = {
                f"{OTHER}{name}" if name in taken else name: value
                for name, value in reading.beside(located).items()
            }
            renamed.update(name for name in beside if name.removeprefix(OTHER) in taken)
            yield {**beside, **made, CAME_FROM: came_from(located, ["convert"])}
        faults.stop()
        account.read = account.written + len(reading.dropped)

    def beside() -> None:
        account.notes = list(reading.notes)
        if renamed:
            names = ", ".join(sorted(renamed))
            account.notes.append(say("transforms.renamed", names=names, layout=settings.to))
        account.unread(reading.dropped, "convert")
        write_account(target, account)

    write_rows(target, written, beside)
    return account
