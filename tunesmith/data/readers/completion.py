"""One question and one answer a row, under the names that are usual for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from tunesmith.data.columns.asking import answers, judged, known, with_more
from tunesmith.data.columns.asking import asked as turns_before
from tunesmith.data.columns.choices import option_columns, options_name, wrong_columns
from tunesmith.data.columns.messages import pairs
from tunesmith.data.columns.names import ABOUT, ANSWER, QUESTION, THOUGHTS, plain, ranked
from tunesmith.data.columns.turns import ANOTHER_TASK, system_turn, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat, Turn

_PAIRS = (
    ("question", "answer"),
    ("prompt", "completion"),
    ("query", "response"),
    ("prompt", "response"),
    ("input", "output"),
)
_OTHERS = frozenset({"instruction", "reasoning", "messages"}) | ANOTHER_TASK


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
        "tools": "the functions that may be called",
    }

    learned: ClassVar[str | None] = "answer"

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with one of the usual pairs of columns, and no other column that belongs to
        the question or answer.
        """
        pair = next((pair for pair in _PAIRS if columns.issuperset(pair)), None)
        return (
            pair is not None
            and not option_columns(columns)
            and options_name(columns) is None
            and not wrong_columns(columns)
            and not ranked([*QUESTION, *ABOUT, *ANSWER], columns - {*pair})
            and not columns & _OTHERS
            and not judged(columns, row)
            # 1 and 0 beside an answer may say that it is good or bad.
            and not ("label" in columns and str(row.get("label")).strip() in ("0", "1"))
        )

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields, and the column of what was thought before the answer."""
        return frozenset({*self.fields, *(name for name in columns if plain(name) in THOUGHTS)})

    def read(self, row: Row) -> Chat:
        """Reads the first of the pairs that the row has."""
        there = [pair for pair in _PAIRS if pair[0] in row and pair[1] in row] or [_PAIRS[0]]
        # A row that is only asked has all fields, but only its own hold something.
        asked, answered = next(
            (pair for pair in there if row.get(pair[0]) not in (None, "")), there[0]
        )
        before = turns_before(row) if isinstance(row.get(asked), list) else []
        if not before:
            before = [*system_turn(row), *pairs(row), Turn("user", text_of(row, asked))]
        said = answers(row, answered)
        last, tools = with_more(said[-1], row)
        turns = (*before, *said[:-1], last)
        return Chat(turns, tools, {**known(row, before), "answer": said[-1].content})
