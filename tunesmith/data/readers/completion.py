"""One question and one answer a row, under the names that are usual for them."""

from __future__ import annotations

from typing import ClassVar

from tunesmith.data.columns.asking import judged
from tunesmith.data.columns.turns import ANOTHER_TASK, CHOICES, pairs, system_turn, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat, Turn

_PAIRS = (
    ("question", "answer"),
    ("prompt", "completion"),
    ("query", "response"),
    ("prompt", "response"),
    ("input", "output"),
)
_OTHERS = frozenset({"instruction", "reasoning", "messages"}) | ANOTHER_TASK | CHOICES


@READERS.register
class Completion(Reader):
    """A question and its answer, or a prompt and its completion: one turn of the user and one of
    the assistant.
    """

    gives = Chat
    fields: ClassVar[dict[str, str]] = {
        "question": "what is asked; also prompt, query, input",
        "answer": "the answer; also completion, response, output",
        "prompt": "what is asked",
        "completion": "the answer",
        "query": "what is asked",
        "response": "the answer",
        "input": "what is asked",
        "output": "the answer",
        "system": "a system prompt",
        "history": "earlier rounds: [[question, answer], …]",
    }

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """It has one of the usual pairs of names, and nothing that makes question and answer alone
        too little.
        """
        return (
            any(columns.issuperset(pair) for pair in _PAIRS)
            and not columns & _OTHERS
            and not judged(columns, row)
        )

    def read(self, row: Row) -> Chat:
        """The first of the pairs that the row has."""
        there = [pair for pair in _PAIRS if pair[0] in row and pair[1] in row] or [_PAIRS[0]]
        # A row that is only asked has all fields, but only its own hold something.
        asked, answered = next(
            (pair for pair in there if row.get(pair[0]) not in (None, "")), there[0]
        )
        question, answer, system = text_of(row, asked), text_of(row, answered), system_turn(row)
        turns = (*system, *pairs(row), Turn("user", question), Turn("assistant", answer))
        names = {
            "question": question,
            "answer": answer,
            **({"system": system[0].content} if system else {}),
        }
        return Chat(turns, columns={**row, **names})
