"""What is only asked, by the reader of the training: rows without what the training learns to give,
and plain texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.data.columns.finishing import example_of
from tunesmith.data.columns.turns import LISTS, TURNS
from tunesmith.data.files.questions import asked_in
from tunesmith.data.readers import READERS, Reader
from tunesmith.data.rendering.template import Template
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import (
    Chat,
    Example,
    Labelled,
    Tagged,
    Text,
    TextPair,
    prompt_of,
    question_of,
)
from tunesmith.plain import JsonObject, Row
from tunesmith.settings.run import Data, Run
from tunesmith.words import say

_ROOT = re.compile(r"^[^.\[]+")
"""The column of a place such as ``messages[3].content``."""
ONE_TEXT = (Text, Labelled, TextPair, Tagged)
"""Examples that are asked with a text."""


def read_questions(run: Run) -> Mapping[str, Row | str]:
    """Reads the questions of a run, of its list or file, by the place that messages name."""
    if not isinstance(run.questions, str):
        asked = [
            question.strip() if isinstance(question, str) else question
            for question in run.questions
        ]
        return {f"questions.{number}": question for number, question in enumerate(asked)}
    if not Path(run.questions).is_file():
        text = say("plan.no_questions", value=repr(run.questions))
        raise SpecError(Problem("questions", text))
    return asked_in(Path(run.questions))


class AskedRows:
    """Rows as they stand in a user's file; the answer column may be missing or empty. ``files`` are
    the training's, of its ledger: they say which readers there are and what columns are called.
    """

    def __init__(self, data: Data, files: Sequence[Row], objective: Any) -> None:
        self.objective = objective
        self.columns = _columns(data, files)
        names = [data.reader] if data.reader else [file["reader"] for file in files]
        self.readers: list[Reader] = [READERS.get(name)() for name in dict.fromkeys(names)]
        self.needed = needed(data, files, answers=objective.output.judges)

    def asks(self, row: Row | str) -> Example:
        """Returns what the model is asked: a conversation without its answer, or a text; DataError
        where there is nothing to answer.
        """
        if isinstance(row, str):
            return self.objective.output.question(row)
        example, filled = self.example(row)
        chat = prompt_of(example)
        if chat is not None:
            # The template finds the answer's place by what a row lacks.
            columns = chat.columns.items()
            given = {name: value for name, value in columns if filled.get(name) != value}
            example = replace(chat, columns=given)
        if not says(example):
            raise self.lacking(row)
        return example

    def row_of(self, text: str) -> dict[str, str]:
        """Makes a plain text a row that is asked."""
        output = self.objective.output
        asks = "questions" in output.takes and prompt_of(output.question(text)) is not None
        return {"question" if asks else "text": text}

    def example(self, row: Row) -> tuple[Example, dict[str, str]]:
        """Reads the row with the reader of the training, or where that does not know its columns
        with another of the same kind, and returns the fields that it lacks, such as the answer,
        which are empty then.
        """
        named = self.named(row)
        reader = (self._fitting(named) or self._other(named) or self.readers)[0]
        for name in reader.fields:
            value = named.get(name)
            if (
                isinstance(value, list)
                and len(value) == 1
                and name not in LISTS
                and isinstance(value[0], str)
            ):
                named[name] = value[0]
        # A label's reader goes by which columns are there.
        filled = {
            name: "" for name in reader.fields if name not in named and reader.gives is not Labelled
        }
        try:
            example = example_of(reader.read, {**named, **filled})
        except DataError as error:
            # A field that is not there is named as the training file calls it.
            if all(
                problem.where and not {problem.where, *_ROOT.findall(problem.where)} & {*named}
                for problem in error.problems
            ):
                raise self.lacking(row) from None
            raise
        return self.objective.meant(example), filled

    def named(self, row: Row) -> JsonObject:
        """Adds our names to the row, beside those of the training files."""
        ours = {name: row[theirs] for name, theirs in self.columns.items() if theirs in row}
        return {**row, **ours}

    def lacking(self, row: Row) -> DataError:
        """Makes the error for a row without anything to answer: the columns that it has, and those
        that it needs.
        """
        columns = say("spec.or_mean").join(", ".join(names) for names in self.needed)
        text = say(self.objective.output.lacks, columns=", ".join(row), needed=columns)
        # Without its key: rows with other columns are told apart.
        return DataError(Problem("", str(text)))

    def _fitting(self, named: Row) -> list[Reader]:
        """Returns the training's own readers that know the columns."""
        columns = frozenset(named)
        whole = [reader for reader in self.readers if reader.matches(columns, named)]
        return whole or [reader for reader in self.readers if _asked_by(reader, named)]

    def _other(self, named: Row) -> list[Reader]:
        """Returns readers of the training's kind that know the columns."""
        kinds = {reader.gives for reader in self.readers}
        others = [READERS.get(name) for name in READERS.names()]
        fitting = [cls() for cls in others if cls.gives in kinds and not cls.looks]
        return [reader for reader in fitting if _asked_by(reader, named)]


def asks(chat: Chat) -> bool:
    """Tells whether the conversation, without its answer, ends with a question."""
    last = chat.prompt.turns[-1:]
    return any(turn.role in ("user", "tool") and turn.content.strip() for turn in last)


def says(example: Example) -> bool:
    """Tells whether there is something to answer."""
    if isinstance(example, Chat):
        return asks(example)
    return not isinstance(example, ONE_TEXT) or bool(example.text.strip())


def shown(example: Example) -> str:
    """Returns what is asked, for a person to read."""
    chat = prompt_of(example)
    if chat is not None:
        return question_of(chat)
    assert isinstance(example, ONE_TEXT), "what is no conversation is a text"
    second = example.second if isinstance(example, Labelled | TextPair) else None
    return "\n".join(filter(None, (example.text, second)))


def _asked_by(reader: Reader, named: Row) -> bool:
    """Tells whether the row is of the reader's format once it has an answer, or all that an answer
    may have.
    """
    lacking = (reader.answers & reader.fields.keys()) - named.keys()
    return any(
        reader.matches(frozenset(named) | more, {**named, **dict.fromkeys(more, "")})
        for more in (frozenset(), *_each(lacking), lacking)
    )


def _each(names: frozenset[str]) -> Iterator[frozenset[str]]:
    return (frozenset({name}) for name in sorted(names))


def _columns(data: Data, files: Sequence[Row]) -> Mapping[str, str]:
    """Maps our names to those of the training files: as the user gave them, or as they were
    recognised from the cells.
    """
    of_files = [source.columns for source in data.sources if source.columns]
    given = data.columns or next(iter(of_files), None)
    return given or next((file["read_as"] for file in files if file.get("read_as")), {})


def needed(data: Data, files: Sequence[Row], *, answers: bool) -> list[list[str]]:
    """Returns the columns that the training read, as its files call them, with or without those of
    the answer; a list for each kind of file.
    """
    groups: list[list[str]] = []
    for file in files:
        reader = READERS.get(file["reader"])
        read_as = file.get("read_as") or {}
        ours = {theirs: name for name, theirs in read_as.items()}
        left_out = frozenset() if answers else reader.answers
        asked = [name for name in file["columns"] if not {name, ours.get(name)} & left_out]
        used = {
            *read_as.values(),
            *reader.fields,
            *TURNS,
            *(Template(data.template).names if data.template else ()),
        }
        columns = [name for name in asked if name in used] or [
            name for name in asked if name != "id"
        ]
        groups += [columns] if columns not in groups else []
    return groups
