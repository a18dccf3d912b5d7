"""What a teacher is asked: the rows of files up to their last answer, which may be missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from tunesmith.data.asked_reading import finished_question
from tunesmith.data.columns.turns import ANOTHER_TASK, CHOICES, TURNS, no_number
from tunesmith.data.readers import READERS
from tunesmith.data.reading import Reading
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Example, Feedback, Preference, Text, Turn, prompt_of
from tunesmith.plain import JsonObject
from tunesmith.words import say

TOGETHER = 16
"""Questions that a local model answers together; between these, a signal is heard."""
OURS = ("messages", "reference", "teacher", "finish", "reward")
"""Columns of the rows that are written, beside the file's own."""


@dataclass(frozen=True)
class Question:
    """What is asked of one row. ``reference`` is the row's own answer, empty where it has none."""

    place: str
    chat: Chat
    reference: str
    columns: JsonObject
    """The row's columns that are neither question nor answer, under names by which no reader takes
    them for such.
    """


def blocks(
    questions: Iterator[Question], each: int, done: Collection[int]
) -> Iterator[tuple[range, list[Question]]]:
    """Yields the questions in blocks, with the numbers of their answers, ``each`` a question.

    A block whose answers are all ``done`` is left out. Any other comes whole: all of its answers
    are drawn again, so that what was killed ends as what was not.
    """
    first = 0
    while some := list(islice(questions, TOGETHER)):
        numbers = range(first * each, (first + len(some)) * each)
        first += len(some)
        if not all(number in done for number in numbers):
            yield numbers, some


class Questions(Reading):
    """The rows as conversations that end with the row's own answer, an empty one where it has
    none.
    """

    answered = False

    def asked(self) -> Iterator[Question]:
        """Yields each row's question, in the order of the files."""
        opened_by_path = {opened.facts.path: opened for opened in self.opened}
        names = _meant()
        for located, chat in self:
            assert isinstance(chat, Chat)
            opened = opened_by_path[located.file]
            used = {*opened.columns.values(), *opened.reader.fields, *TURNS}
            unread = {name: value for name, value in located.row.items() if name not in used}
            columns = {
                f"row_{name}" if name in names else name: None
                if no_number(unread[name])
                else unread[name]
                for name in unread
            }
            yield Question(located.where, chat.prompt, chat.answer, columns)

    def _finished(self, example: Example) -> tuple[Example | str, list[str]]:
        prompt = (
            Chat((Turn("user", example.text),)) if isinstance(example, Text) else prompt_of(example)
        )
        if prompt is None:
            raise DataError(Problem("", say("generate.no_question", kind=type(example).__name__)))
        if prompt.tools or any(turn.role == "tool" or turn.tool_calls for turn in prompt.turns):
            return "tools", []
        asked, changes = finished_question(prompt)
        if isinstance(asked, str):
            return asked, []
        answer = Turn("assistant", _reference(example))
        return replace(asked, turns=(*asked.turns, answer)), changes


def _reference(example: Example) -> str:
    """Returns the answer in the file; of a pair the chosen one, and no answer that was
    judged bad.
    """
    if isinstance(example, Preference):
        return example.sides[0].answer
    if isinstance(example, Feedback):
        return example.chat.answer if example.desirable else ""
    return example.answer if isinstance(example, Chat) else ""


def _meant() -> set[str]:
    """Returns every column that has a meaning to some reader, or to the rows that are written."""
    fields = {name for reader in READERS.names() for name in READERS.get(reader).fields}
    return {*fields, *TURNS, *ANOTHER_TASK, *CHOICES, *OURS, "label", "labels"}
