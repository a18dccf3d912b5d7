"""A text and what is made of it: translation pairs, and a text with its summary or title, under the
names of published sets.
"""

from __future__ import annotations

from typing import ClassVar

from tunesmith.data.columns.turns import (
    ANOTHER_TASK,
    CHOICES,
    as_text,
    field_problem,
    shown,
    system_turn,
    text_of,
)
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat, Turn

_PAIRS = (
    ("source", "target"),
    ("src", "tgt"),
    ("document", "summary"),
    ("article", "highlights"),
    ("article", "summary"),
    ("dialogue", "summary"),
    ("text", "summary"),
)
_OTHERS = (
    frozenset({"instruction", "question", "messages", "conversations"}) | ANOTHER_TASK | CHOICES
)


@READERS.register
class SourceTarget(Reader):
    """A text and what is made of it (a translation, a summary); what is to be done with it stands
    in data.system.
    """

    gives = Chat
    fields: ClassVar[dict[str, str]] = {
        "source": (
            "the text that is translated or summarised; also src, document, article, dialogue, text"
        ),
        "target": "what is made of it; also tgt, summary, highlights",
        "translation": "both languages in one object, {en: …, zh: …}, from the first to the second",
        "src": "the source",
        "tgt": "the target",
        "document": "the source",
        "article": "the source",
        "dialogue": "the source",
        "text": "the source",
        "summary": "the target",
        "highlights": "the target",
        "system": "a system prompt",
    }
    answers: ClassVar[frozenset[str]] = frozenset({"target", "tgt", "summary", "highlights"})

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with one of the usual pairs of columns, or an object of two languages."""
        if columns & _OTHERS:
            return False
        return (
            _two(row.get("translation"))
            if "translation" in columns
            else any(columns.issuperset(pair) for pair in _PAIRS)
        )

    def read(self, row: Row) -> Chat:
        """Reads the first of the pairs that the row has."""
        both = row.get("translation")
        if both:
            if not isinstance(both, dict) or len(both) != 2:
                raise field_problem("translation", "reader.two_languages", seen=shown(both))
            question, answer = (
                as_text(text, f"translation.{language}") for language, text in both.items()
            )
        else:
            pair = next((pair for pair in _PAIRS if pair[0] in row and pair[1] in row), _PAIRS[0])
            question, answer = (text_of(row, name) for name in pair)
        system = system_turn(row)
        names = {
            "question": question,
            "answer": answer,
            **({"system": system[0].content} if system else {}),
        }
        return Chat(
            (*system, Turn("user", question), Turn("assistant", answer)), columns={**row, **names}
        )


def _two(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 2
