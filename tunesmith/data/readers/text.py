"""Plain text, one document a row."""

from __future__ import annotations

from typing import ClassVar

from tunesmith.data.columns.turns import ANOTHER_TASK, as_text, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Text

_ANSWERS = (
    frozenset({"label", "labels", "answer", "output", "response", "completion", "summary"})
    | ANOTHER_TASK
)


@READERS.register
class PlainText(Reader):
    """Plain text: every token of it is learned."""

    gives = Text
    fields: ClassVar[dict[str, str]] = {"text": "the document"}

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with a text and no answer to it."""
        return "text" in columns and not columns & _ANSWERS

    def read(self, row: Row) -> Text:
        """Reads the document; a list of texts is one, line by line."""
        lines = row.get("text")
        if isinstance(lines, list):
            parts = [as_text(line, f"text[{n}]") for n, line in enumerate(lines)]
            return Text("\n".join(parts))
        return Text(text_of(row, "text"))
