"""A question, the thinking and the answer in columns of their own, as in medical-o1 (Chen et al.
2024).
"""

from __future__ import annotations

from typing import ClassVar

from tunesmith.data.columns.turns import ANOTHER_TASK, CHOICES, system_turn, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat, Turn


@READERS.register
class Reasoning(Reader):
    """A question, the thinking, and the answer; the thinking goes before the answer, in the form
    that data.reasoning says.
    """

    gives = Chat
    fields: ClassVar[dict[str, str]] = {
        "question": "what is asked",
        "reasoning": "the thinking that leads to the answer",
        "answer": "the answer",
        "system": "a system prompt",
    }

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with the columns question, reasoning and answer."""
        return {"question", "reasoning", "answer"} <= columns and not columns & (
            ANOTHER_TASK | CHOICES
        )

    def read(self, row: Row) -> Chat:
        """Reads the row, with the reasoning apart from the answer."""
        question, reasoning, answer = (
            text_of(row, name) for name in ("question", "reasoning", "answer")
        )
        system = system_turn(row)
        turns = (
            *system,
            Turn("user", question),
            Turn("assistant", answer, reasoning=reasoning.strip() or None),
        )
        return Chat(
            turns, columns={**row, "question": question, "reasoning": reasoning, "answer": answer}
        )
