"""Lines that begin with their label: ``DESC:manner How did …`` (TREC, Li and Roth 2002),
``__label__sauce How …`` (fastText).
"""

from __future__ import annotations

import re
from typing import ClassVar

from tunesmith.data.columns.turns import field_problem, shown, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Labelled

_LINE = re.compile(
    r"\s*(?:(?P<marked>(?:__label__\S+\s+)+)|(?P<plain>[A-Z]{2,}:[\w-]+)\s+)(?P<text>.*)", re.DOTALL
)


@READERS.register
class LabelFirst(Reader):
    """Lines of text that begin with a label: TREC's DESC:manner How did …, or fastText's
    __label__name …, perhaps several.
    """

    gives = Labelled
    fields: ClassVar[dict[str, str]] = {"text": "the label, a space, and what is judged"}

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches lines of text whose first begins with a label."""
        return (
            columns == {"text"}
            and isinstance(row.get("text"), str)
            and _LINE.match(row["text"]) is not None
        )

    def read(self, row: Row) -> Labelled:
        """Reads the line without its label, and the label; raises DataError for a line that begins
        with none.
        """
        line = text_of(row, "text")
        match = _LINE.match(line)
        if match is None:
            raise field_problem("text", "labelled.no_label_first", seen=shown(line))
        marked = match["marked"]
        labels = (
            tuple(part.removeprefix("__label__") for part in marked.split())
            if marked
            else (match["plain"],)
        )
        return Labelled(match["text"].strip(), None, labels, dict(row))
