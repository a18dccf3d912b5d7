"""A text with a column of 0 and 1 for each class (Jigsaw's comments, GoEmotions)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from tunesmith.data.columns.labels import flag_columns, flag_in
from tunesmith.data.columns.turns import field_problem, shown, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Labelled


@READERS.register
class OneHot(Reader):
    """A text, and beside it a column for each class that holds 1 where the text is of it, and 0
    elsewhere.
    """

    gives = Labelled
    looks = True
    fields: ClassVar[dict[str, str]] = {
        "text": "what is judged; the columns of 0 and 1 beside it are the classes",
    }

    def __init__(self) -> None:
        self.flags: tuple[str, ...] = ()

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches nothing by its first row alone: a number beside a text may be anything."""
        return False

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the columns of the text and of the classes."""
        return frozenset({"text", *self.flags})

    def look(self, rows: Sequence[Row]) -> None:
        """Finds the columns of the classes."""
        self.flags = flag_columns(list(dict.fromkeys(name for row in rows for name in row)), rows)

    def read(self, row: Row) -> Labelled:
        """Reads the text and the names of the columns that hold 1; raises DataError for any value
        but 0 and 1.
        """
        labels: list[str] = []
        for name in self.flags:
            flag = flag_in(row[name]) if name in row else None
            if flag is None and row.get(name) not in (None, ""):
                raise field_problem(name, "labelled.no_flag", seen=shown(row[name]))
            labels += [name] if flag else []
        # A list of none is known to be none: most comments are of no class.
        columns = {**row, "labels": labels} if self.flags else dict(row)
        return Labelled(text_of(row, "text"), None, tuple(labels), columns)
