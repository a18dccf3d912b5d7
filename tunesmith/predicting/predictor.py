"""Answers to rows as they stand in the user's file; the answer column may be missing or empty, all
others are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tunesmith.data.columns.media import refuse_media
from tunesmith.data.columns.turns import LISTS, turn_of
from tunesmith.data.readers import READERS, Reader
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Example, Labelled
from tunesmith.objectives import OBJECTIVES
from tunesmith.predicting.fitting import Fitting
from tunesmith.predicting.row_problems import alike, mappings, needed
from tunesmith.settings.run import Run
from tunesmith.storage.cache import notice
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

Row = Mapping[str, Any]
_ROOT = re.compile(r"^[^.\[]+")
"""The column of a place such as ``messages[3].content``."""


class Predictor:
    """A run's model (or its base), ready to answer with the run's own reader, template and
    generation settings.
    """

    def __init__(self, folder: RunFolder, *, tuned: bool = True) -> None:
        from tunesmith.models.saved import load_run

        self.run: Run = folder.resolved().run
        self.loaded = load_run(folder, tuned=tuned)
        assert self.loaded.render is not None, "a run's model comes with its renderer"
        self.render = self.loaded.render
        self.objective = OBJECTIVES.make(self.run.objective)
        self.fitting = Fitting(self.loaded.limit, self.render, self.run)
        ledger = folder.read(folder.ledger) or {"files": []}
        self.columns = _columns(self.run, ledger["files"])
        names = (
            [self.run.data.reader]
            if self.run.data.reader
            else [file["reader"] for file in ledger["files"]]
        )
        self.readers: list[Reader] = [READERS.get(name)() for name in dict.fromkeys(names)]
        self.needed = needed(self.run.data, ledger["files"], answers=self.objective.output.judges)

    def predict(
        self,
        rows: Iterable[Row],
        *,
        places: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
        tell: Callable[[str], None] = notice,
    ) -> list[dict[str, Any]]:
        """Returns the rows with ``prediction`` added (``prediction_1`` where there is one); a list
        of texts for several samples.

        DataError with every row that cannot be read, those with the same problem together, before
        any is answered; ``places`` are the rows' names in it, their numbers when not given.
        ``tell`` hears what was cut because the model reads no more.
        """
        rows = mappings(rows, self.needed[0] if self.needed else ("text",))
        if not rows:
            return []
        places = places or [str(number) for number in range(1, len(rows) + 1)]
        self.fitting.cut = 0
        output = self.objective.output
        asked: list[Any] = []
        problems: list[tuple[str, Problem]] = []
        for place, row in zip(places, rows, strict=True):
            try:
                asked.append(output.ask(self, row))
            except DataError as error:
                problems += [(place, one) for one in error.problems]
        if problems:
            raise DataError(alike(problems))
        if self.fitting.cut:
            tell(self.fitting.told(len(rows)))
        taken = {name for row in rows for name in row}
        found = output.answer(self, asked, progress)
        names = {name: _free(taken, name) for one in found for name in one}
        return [
            {**row, **{names[name]: value for name, value in one.items()}}
            for row, one in zip(rows, found, strict=True)
        ]

    def chat(self, messages: Sequence[Row]) -> str:
        """Answers a conversation in OpenAI's form: ``[{"role": "user", "content": …}]``."""
        chat = Chat(tuple(turn_of(one, f"messages[{n}]") for n, one in enumerate(messages)))
        refuse_media(chat)
        return self.objective.output.converse(self, chat)

    def named(self, row: Row) -> dict[str, Any]:
        """Adds our names to the row, beside those of the training files."""
        ours = {name: row[theirs] for name, theirs in self.columns.items() if theirs in row}
        return {**row, **ours}

    def example(self, row: Row) -> tuple[Example, dict[str, str]]:
        """Reads the row with the reader of the training, and returns the fields that it lacks, such
        as the answer, which are empty then.
        """
        named = self.named(row)
        matching = [reader for reader in self.readers if reader.matches(frozenset(named), named)]
        reader = (matching or self.readers)[0]
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
            example = reader.read({**named, **filled})
        except DataError as error:
            # A field that is not there is named as the training file calls it.
            if all(
                one.where and not {one.where, *_ROOT.findall(one.where)} & {*named}
                for one in error.problems
            ):
                raise self.lacking(row) from None
            raise
        refuse_media(example)
        return self.objective.meant(example), filled

    def lacking(self, row: Row) -> DataError:
        """Makes the error for a row without anything to answer: the columns that it has, and those
        that it needs.
        """
        columns = say("spec.or_mean").join(", ".join(names) for names in self.needed)
        told = say(self.objective.output.lacks, columns=", ".join(row), needed=columns)
        return DataError(Problem("", told))


def predict(folder: RunFolder, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Returns the rows with the tuned model's answers beside their own columns."""
    return Predictor(folder).predict(rows)


def _columns(run: Run, files: Sequence[Row]) -> Mapping[str, str]:
    """Maps our names to those of the training files: as the user gave them, or as they were
    recognised from the cells.
    """
    sources = [] if isinstance(run.data.path, str) else run.data.path
    given = run.data.columns or next((source.columns for source in sources if source.columns), None)
    return given or next((file["read_as"] for file in files if file.get("read_as")), {})


def _free(taken: set[str], wanted: str) -> str:
    """Returns a name for the new column that no row has."""
    number = 0
    name = wanted
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name
