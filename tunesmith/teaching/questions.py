"""What a teacher is asked: the rows of files up to their last answer, which may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data.choose_reader import choose
from tunesmith.data.columns.finishing import finish
from tunesmith.data.columns.turns import ANOTHER_TASK, CHOICES, TURNS, no_number
from tunesmith.data.files.sources import Faults, Located, facts, rows
from tunesmith.data.opened import Opened, named_row
from tunesmith.data.readers import READERS
from tunesmith.data.reading import Reading
from tunesmith.data.rendering.template import USUAL
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Example, Feedback, Preference, Text, Turn, prompt_of
from tunesmith.settings.run import Source
from tunesmith.words import say

ANSWERS = ("output", "answer", "completion", "response", "target")
"""Columns of which one may be missing from a file of questions."""
OURS = ("messages", "reference", "teacher", "finish")
"""Columns of the rows that are written, beside the file's own."""


@dataclass(frozen=True)
class Question:
    """What is asked of one row. ``reference`` is the row's own answer, empty where it has none."""

    place: str
    chat: Chat
    reference: str
    columns: dict[str, Any]
    """The row's columns that are neither question nor answer, under names by which no reader takes
    them for such.
    """


class Questions(Reading):
    """The rows as conversations that end with the row's own answer, an empty one where it has
    none.
    """

    def asked(self) -> Iterator[Question]:
        """Yields each row's question, in the order of the files."""
        known = {opened.facts.path: opened for opened in self.opened}
        names = _meant()
        for located, chat in self:
            assert isinstance(chat, Chat)
            opened = known[located.file]
            used = {*opened.columns.values(), *opened.reader.fields, *TURNS}
            own = {name: value for name, value in located.row.items() if name not in used}
            columns = {
                f"row_{name}" if name in names else name: None
                if no_number(own[name])
                else own[name]
                for name in own
            }
            yield Question(located.where, chat.prompt, chat.answer, columns)

    def _open(self, file: Path, source: Source, *, several: bool) -> Opened:
        try:
            return super()._open(file, source, several=several)
        except DataError:
            columns = source.columns or self.data.columns or {}
            known = facts(file, columns=columns)
            if any(name.casefold() in USUAL for name in known.columns):
                raise  # its answers are there, and which they are is asked for
            first = list(islice(rows(file, columns=columns, faults=Faults()), 1))
            for name in ANSWERS:
                wider = replace(known, columns=(*known.columns, name))
                filled = [replace(located, row={**located.row, name: ""}) for located in first]
                try:
                    chosen = choose(
                        wider, filled, columns=columns, reader=source.reader or self.data.reader
                    )
                except DataError:
                    continue
                return Opened(known, chosen.reader, chosen.columns, weight=source.weight)
            raise

    def _read(self, opened: Opened, located: Located) -> Example | str:
        row = located.row
        named = named_row(row, opened.columns)
        if not opened.reader.matches(frozenset(named), named):
            row = {name: "" for name in opened.reader.fields if name not in named} | row
        return super()._read(opened, replace(located, row=row))

    def _finished(self, example: Example) -> tuple[Example | str, list[str]]:
        prompt = (
            Chat((Turn("user", example.text),)) if isinstance(example, Text) else prompt_of(example)
        )
        if prompt is None:
            raise DataError(Problem("", say("generate.no_question", kind=type(example).__name__)))
        if prompt.tools or any(turn.role == "tool" or turn.tool_calls for turn in prompt.turns):
            return "tools", []
        # A row that asks is mended as one that is learned: as if it were answered.
        whole, changes = finish(replace(prompt, turns=(*prompt.turns, Turn("assistant", "-"))))
        if (
            isinstance(whole, str)
            or whole.turns[-2].role != "user"
            or not whole.turns[-2].content.strip()
        ):
            return "no question", []
        return replace(
            whole, turns=(*whole.turns[:-1], Turn("assistant", _reference(example)))
        ), changes


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
