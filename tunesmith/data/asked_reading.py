"""Files of which a row need not hold an answer: their readers are chosen, and their rows read, as
if they had one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data.choose_reader import choose
from tunesmith.data.columns.finishing import finish, finished
from tunesmith.data.files.sources import Faults, Located, facts, rows
from tunesmith.data.reading import Opened, Reading, named_row
from tunesmith.data.rendering.template import USUAL
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Example, Text, Turn
from tunesmith.settings.run import Source

ANSWERS = ("output", "answer", "completion", "response", "target")
"""Columns of which one may be missing from a file of questions."""


class AskedReading(Reading):
    """The rows of files that may lack the column of the answer."""

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


class Prompts(AskedReading):
    """The rows as conversations that a model answers; where a row has an answer, it ends them."""

    def _finished(self, example: Example) -> tuple[Example | str, list[str]]:
        if isinstance(example, Text):
            example = Chat((Turn("user", example.text),), columns={"question": example.text})
        if not isinstance(example, Chat) or example.answer.strip():
            return finished(example)
        return finished_question(example.prompt)


def reading_for(objective: Any) -> type[Reading]:
    """Chooses how the rows of an objective are read: one that learns from answers of its own needs
    none.
    """
    return Prompts if objective.samples else Reading


def finished_question(prompt: Chat) -> tuple[Chat | str, list[str]]:
    """Mends what is asked as a row that is learned: as if it were answered. Returns it, or why it
    is not used, and what was changed.
    """
    whole, changes = finish(replace(prompt, turns=(*prompt.turns, Turn("assistant", "-"))))
    if isinstance(whole, str) or whole.turns[-2].role != "user":
        return "no question", []
    if not whole.turns[-2].content.strip():
        return "no question", []
    answer = prompt.columns.get("answer", "")
    columns = {**whole.columns, "answer": answer} if changes else whole.columns
    return replace(whole, turns=whole.turns[:-1], columns=columns), changes
