"""Multiple choice: a question, its options and which is right, as exams publish them (MMLU, C-Eval,
CMMLU, ARC, MedQA, HellaSwag, RACE).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from tunesmith.data.columns.choices import (
    LETTERS,
    RIGHT,
    counted_from,
    has_options,
    laid_out,
    opened_question,
    option_columns,
    options_name,
    options_of,
    right_column,
    right_letter,
    wrong_columns,
)
from tunesmith.data.columns.names import ABOUT, QUESTION, plain, ranked
from tunesmith.data.columns.turns import ANOTHER_TASK, system_turn, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Turn

_ASKED = [*QUESTION, "sentence", "sent1", "activitylabel"]
_ABOUT = [*ABOUT, "article", "ctx", "context"]
_TEXT = ("text", "content", "文本", "原文")
"""What a question is about, where it does not hold the question itself."""


@READERS.register
class Choices(Reader):
    """A question with options and which of them is right: the options stand below the question,
    and the letter of the right one is the answer.
    """

    gives = Chat
    fields: ClassVar[dict[str, str]] = {
        "question": "what is asked",
        "input": "what the question is about, shown before it; may be empty",
        "options": "the options: a list, {A: …, B: …}, or lines that begin with a letter",
        "answer": "the right option: its letter, its text, or its number",
        "answer_from_0": "the right option by its number, the first being 0",
        "answer_from_1": "the right option by its number, the first being 1",
        "system": "a system prompt",
        **dict.fromkeys(LETTERS[:10], "one of the options"),
    }
    answers: ClassVar[frozenset[str]] = frozenset({"answer", "answer_from_0", "answer_from_1"})

    looks = True

    def __init__(self) -> None:
        self.first: int | None = None
        self._asked_in: set[str] = set()
        """Columns that the first rows are asked in."""

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with one question, options and a column that names the right one."""
        seen = opened_question({name: row.get(name) for name in columns})
        columns = frozenset(seen)
        row = seen
        return (
            len({plain(name) for name in columns}) == len(columns)
            and has_options(columns, row)
            and not columns & ANOTHER_TASK
            and bool(_asked(seen))
            and (right_column(seen) is not None or bool(columns & cls.answers))
        )

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields, and this file's columns of options and answers."""
        row = dict.fromkeys(columns)
        options = {*option_columns(columns), options_name(columns) or "", *wrong_columns(columns)}
        there = {*options, *_asked(row), *self._asked_in}
        right = {name for name in columns if plain(name) in {plain(usual) for usual in RIGHT}}
        return frozenset({*self.fields, *there, *right})

    def look(self, rows: Sequence[Row]) -> None:
        """Learns from many rows from which number their answers count."""
        values = []
        self._asked_in = {name for row in map(opened_question, rows) for name in _asked(row)}
        for row in map(opened_question, rows):
            try:
                options = options_of(row)
                name = right_column(row)
            except DataError:
                continue
            if name is not None:
                values.append((row[name], options))
        self.first = counted_from(values)

    def read(self, row: Row) -> Chat:
        """Reads the question with its options, and the letter of the right one; raises DataError
        for an answer that is no option.
        """
        row = opened_question(row)
        options = options_of(row)
        asked = _asked(row)
        question = text_of(row, *asked[-1:], required=bool(asked))
        about = [text_of(row, name, required=False) for name in asked[:-1]]
        parts = [*about, question, laid_out(options)]
        whole = "\n".join(part.strip() for part in parts if part.strip())
        name = right_column(row)
        first = self.first
        for number in (0, 1):
            if row.get(f"answer_from_{number}") not in (None, ""):
                name, first = f"answer_from_{number}", number
        letter = "" if name is None else right_letter(row[name], options, name, first=first)
        system = system_turn(row)
        turns = (*system, Turn("user", whole), Turn("assistant", letter))
        return Chat(turns, columns={**row, "question": whole, "answer": letter})


def _asked(row: Row) -> list[str]:
    """Returns the columns of the question and what it is about, the question last."""
    rest = [name for name in row if name not in option_columns(row) and name != options_name(row)]
    filled = [name for name in rest if row[name] not in (None, "")] or rest
    questions = ranked(_ASKED, [name for name in filled if name not in ("input",)])
    about = [name for name in ranked(_ABOUT, filled) if name not in questions[:1]]
    if questions and not about:
        asked = str(row[questions[0]]).strip()
        texts = [name for name in ranked(_TEXT, filled) if name not in questions[:1]]
        about = [name for name in texts if asked and asked not in str(row[name])]
    if questions and plain(questions[0]) == "activitylabel":  # what goes on stands before it
        return [*questions[:1], *about[:1]]
    return [*about[:1], *questions[:1]]
