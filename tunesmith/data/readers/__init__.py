"""Rows to Examples: one file format's meaning a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from tunesmith.examples import Example
from tunesmith.plain import Row
from tunesmith.settings.family import READERS
from tunesmith.settings.spec import Spec

__all__ = ["READERS", "Reader"]


class Reader:
    """Base of the readers: ``matches`` looks at the columns of a file's first rows, ``read`` at one
    row.
    """

    name: ClassVar[str]
    gives: ClassVar[type]
    """The kind of Example it makes."""
    fields: ClassVar[dict[str, str]]
    """Our names for its fields and what each means; ``data.columns`` maps them to the file's own.
    """
    answers: ClassVar[frozenset[str]] = frozenset(
        {
            "answer",
            "reasoning",
            "completion",
            "response",
            "output",
            "chosen",
            "rejected",
            "rejected_response",
            "margin",
        }
        | {"label", "kto_tag"}
    )
    """Names of what the training learns to give, which a row that is only asked need not have."""

    learned: ClassVar[str | None] = None
    """The field whose first text is learned where a row lists several right ones."""

    looks: ClassVar[bool] = False
    """Whether it must ``look`` at many rows before it reads one."""
    note: str | None = None
    """What it saw there that a person should know: the end of the key of a note."""

    class Config(Spec):
        """No settings."""

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Tells whether rows with these columns (renamed by ``data.columns``), whose first is
        ``row``, have this format.
        """
        raise AssertionError(f"reader {cls.name} has no matches")

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the columns of a file, our names among them, that the reader reads."""
        return frozenset(self.fields)

    def look(self, rows: Sequence[Row]) -> None:
        """Learns from many rows what one alone does not tell."""

    def read(self, row: Row) -> Example:
        """Reads a row into its Example; raises DataError, naming the field, where this is not
        possible.
        """
        raise AssertionError(f"reader {self.name} has no read")
