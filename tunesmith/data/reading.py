"""Files to Examples: each file's reader is chosen by its columns, and each row is read, dropped
with a reason, or a problem.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.data.choose_reader import choose, choose_unanswered, completed
from tunesmith.data.class_files import as_documents, class_notes, class_of, is_bare
from tunesmith.data.columns.finishing import example_of, finished
from tunesmith.data.columns.turns import shown
from tunesmith.data.files.numbers import gapped
from tunesmith.data.files.paths import every_file, on_disk
from tunesmith.data.files.sources import DOCUMENT, Faults, Located, facts, part_for, rows
from tunesmith.data.find import find_data
from tunesmith.data.ledger import counted
from tunesmith.data.odd_rows import odd_rows
from tunesmith.data.opened_file import (
    Opened,
    labels_in,
    named_row,
    notes_of,
    number_columns,
    prepared,
    printed_columns,
    unread,
    unused_note,
)
from tunesmith.data.readers import READERS
from tunesmith.data.rendering.template import Template
from tunesmith.data.split import draw_rows
from tunesmith.data.transforms import TRANSFORMS, Account, refused, stepped
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Chat, Example, Labelled, Text
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Data
from tunesmith.settings.sources import First, Source
from tunesmith.words import say, some

_FIRST = 20
_MORE = 1000
"""Rows that are looked at where only what they hold can tell what they mean."""


@dataclass(frozen=True)
class Dropped:
    """A row that is not used: ``reason`` is "no answer", "no question", "no text" or "not a
    row".
    """

    file: Path
    number: int
    reason: str
    seen: str
    of: str = ""


@dataclass
class _Group:
    """The files of one source, of which ``take`` rows are wanted."""

    opened: list[Opened]
    take: int | None


@dataclass
class Reading:
    """All rows of ``data`` as Examples; ``opened``, ``dropped`` and ``notes`` say what happened to
    them.

    It can be iterated again and again. Rows that cannot be read are collected, and the iteration
    ends with a DataError that names each kind of fault once. What a row is *not* used for is known
    after an iteration.
    """

    answered: ClassVar[bool] = True
    """Whether a file must hold the answers too."""
    keeps: ClassVar[bool] = False
    """Whether columns that are not read are kept beside what the row means."""

    data: Data
    eats: type = Chat
    """The kind of Example that is wanted; readers of another kind are looked at only when none
    gives it.
    """
    meant: Callable[[Example], Example] | None = None
    """Explains what a row alone does not say, by the settings of the objective."""
    dropped: list[Dropped] = field(default_factory=list)
    counts: Counter[tuple[Path, str]] = field(default_factory=Counter)
    """How often each thing in ``notes`` happened, by file and by the key of its text."""

    def __post_init__(self) -> None:
        self._steps = [TRANSFORMS.make(config) for config in self.data.steps]
        self._account = Account()
        """What ``data.steps`` did to the rows."""
        self._groups: list[_Group] = []
        self._beside: list[str] = []
        """Notes on files that belong to another part of a folder."""
        self._twice: list[str] = []
        """Notes on keys that rows have twice, known after an iteration."""
        for step in self._steps:
            step.look = partial(odd_rows, self.meaning)
        problems = refused(self._steps)
        for source in self.data.sources:
            path, take = sized(source.path)
            group = _Group([], take)
            try:
                files = find_data(path)
                if self.eats is Labelled and not (source.columns or self.data.columns):
                    files = as_documents(files)
            except DataError as error:
                problems += error.problems
                continue
            if left := _left(path, files):
                fields = {"folder": Path(path).name, "files": some(left)}
                self._beside.append(say("reader.note_left", **fields))
            for file in files:
                try:
                    group.opened.append(self._open(file, source, several=len(files) > 1))
                except (DataError, SpecError) as error:
                    problems += error.problems
            self._groups.append(group)
        if problems:
            raise DataError(dict.fromkeys(problems))

    def _open(self, file: Path, source: Source, *, several: bool) -> Opened:
        columns = source.columns or self.data.columns or {}
        file_facts = facts(file, columns=columns)
        if part := part_for(file_facts, self.eats, named=bool(columns)):
            file = file.with_name(f"{file.name}#{part}")
            file_facts = facts(file, columns=columns)
        if self.eats is Labelled and file_facts.format == DOCUMENT:
            labelled = READERS.get("labelled")()
            return Opened(file_facts, labelled, {}, label=class_of(file), weight=source.weight)
        if self.eats is Text and file_facts.format == "questions and answers":
            columns = columns or {"text": "text"}
        faults = Faults()
        first = list(islice(rows(file, columns=columns, faults=faults), _FIRST))
        if not first:
            faults.stop()  # why none can be read says more than what their columns are called
        named = source.reader or self.data.reader
        sample = _sample(file, columns)
        options: dict[str, Any] = {"weight": source.weight}
        options["numbers"] = number_columns(file_facts, [located.row for located in first])
        options["printed"] = printed_columns(file_facts, sample)
        options["gapped"] = frozenset(
            name for name in file_facts.columns if gapped([row.get(name) for row in sample])
        )
        # A folder with a file, or a folder, for each class; lines that name their class need none.
        apart = self.eats is Labelled and several and not (columns or named)
        if apart and is_bare(file):
            labelled = READERS.get("labelled")()
            return Opened(file_facts, labelled, {}, label=class_of(file), **options)
        try:
            chosen = choose(
                file_facts,
                first,
                columns=columns,
                reader=named,
                eats=self.eats,
                template=lambda: self._in_template,
                more=lambda: sample,
            )
        except DataError:
            asks = None if self.answered else choose_unanswered(file_facts, first, columns, named)
            if asks is None:
                raise
            chosen = asks
        if chosen.reader.looks:
            chosen.reader.look([named_row(row, chosen.columns) for row in sample])
        return Opened(file_facts, chosen.reader, chosen.columns, told_by=chosen.told_by, **options)

    def meaning(self, located: Located) -> Example | str | None:
        """Returns what a row means, or why it is not used; None where it cannot be read."""
        opened = next(each for each in self.opened if each.facts.path == located.file)
        counts = Counter(self.counts)
        try:
            return self._read(opened, located)
        except DataError:
            return None
        finally:
            self.counts = counts

    def beside(self, located: Located) -> JsonObject:
        """Returns the columns of a row that its reader does not read: its id, its source."""
        opened = next(each for each in self.opened if each.facts.path == located.file)
        return unread(located.row, opened)

    @property
    def _in_template(self) -> list[str]:
        return Template(self.data.template).names if self.data.template is not None else []

    @property
    def columns(self) -> dict[str, str]:
        """Our names to the files', where all files agree on them."""
        mappings = [dict(opened.columns) for opened in self.opened]
        return mappings[0] if all(mapping == mappings[0] for mapping in mappings) else {}

    @property
    def opened(self) -> list[Opened]:
        """The files, in the order in which they are read."""
        return [opened for group in self._groups for opened in group.opened]

    @property
    def weights(self) -> dict[Path, float]:
        """How often the training rows of each file are seen per epoch."""
        return {opened.facts.path: opened.weight for opened in self.opened}

    @property
    def notes(self) -> list[str]:
        """What a person should know about how the rows were read, in the language in use."""
        notes = [*self._beside, *self._twice, *self._account.step_lines()]
        notes += class_notes(self.opened)
        for opened in self.opened:
            path = opened.facts.path
            notes += notes_of(opened.facts)
            if opened.told_by is not None:
                roles = ", ".join(f"{ours}: {theirs}" for ours, theirs in opened.columns.items())
                notes.append(say(f"reader.note_by_{opened.told_by}", file=path.name, roles=roles))
            if opened.reader.note is not None:
                notes.append(say(f"reader.note_{opened.reader.note}", file=path.name))
            notes += [] if self.keeps else unused_note(opened, self._in_template)
            happened = {key: count for (file, key), count in self.counts.items() if file == path}
            notes += [
                say(f"reader.note_{key}", file=path.name, count=count)
                for key, count in happened.items()
            ]
        return notes

    def __iter__(self) -> Iterator[tuple[Located, Example]]:
        self.dropped.clear()
        self.counts.clear()
        faults = Faults()
        given = 0
        for opened, located in self._located(faults):
            opened.rows += 1
            try:
                example = self._read(opened, located)
            except DataError as error:
                for problem in error.problems:
                    faults.add(located.file, located.number, problem.text, problem.where)
                continue
            if isinstance(example, str):
                self._drop(located, example)
            else:
                given += 1
                yield located, example
        faults.stop()
        self._twice = faults.notes()
        for located in faults.skipped:
            self._drop(located, "not a row")
            self.counts[located.file, "filler"] += 1
        if not given:
            reasons = counted(Counter(row.reason for row in self.dropped))
            why = say("reader.nothing", reasons=reasons) if self.dropped else say("reader.no_rows")
            raise DataError(Problem(str(self.opened[0].facts.path), why))

    def at(self, places: Collection[tuple[Path, int]]) -> Iterator[tuple[Located, Example]]:
        """Yields the rows at these places once more, without reading what the others mean."""
        if self._steps:  # a step may change what stands where
            yield from self
            return
        for opened, located in self._wanted(Faults()):
            opened.rows += 1
            if (located.file, located.number) not in places:
                continue
            counts = Counter(self.counts)
            example = self._read(opened, located)
            self.counts = counts  # it was counted before
            if not isinstance(example, str):
                yield located, example

    def _drop(self, located: Located, reason: str) -> None:
        self.dropped.append(Dropped(located.file, located.number, reason, shown(located.row, 120)))

    def _located(self, faults: Faults) -> Iterator[tuple[Opened, Located]]:
        """Yields the rows that are wanted, after ``data.steps``."""
        if not self._steps:
            yield from self._wanted(faults)
            return
        opened_of = {opened.facts.path: opened for opened in self.opened}

        def read() -> Iterator[Located]:
            faults.clear()  # a step that looks at all rows first reads them twice
            return (located for _, located in self._wanted(faults))

        self._account = Account()
        stepwise = stepped(read, self._steps, self._account, within="data.steps")
        for located in stepwise():
            yield opened_of[located.file], located
        for change in self._account.left_out():
            file = Path(change.file)
            opened_of[file].rows += 1
            seen = say(
                "transforms.seen", step=change.step, why=say(f"transforms.why_{change.why[0]}")
            )
            left = Dropped(file, change.row, "left out by a step", seen, change.of or "")
            self.dropped.append(left)

    def _wanted(self, faults: Faults) -> Iterator[tuple[Opened, Located]]:
        """Yields the rows as they are read: ``file#n`` takes n rows of a source, ``data.limit`` of
        all together.
        """
        limit = self.data.limit
        chosen = self._drawn()
        position = given = 0
        for opened in self.opened:
            opened.rows = 0
            for located in rows(opened.facts.path, columns=opened.columns, faults=faults):
                position += 1
                if chosen is not None and position - 1 not in chosen:
                    continue
                if isinstance(limit, First) and given == limit.first:
                    return
                given += 1
                yield opened, located

    def _drawn(self) -> frozenset[int] | None:
        """Draws the rows to take and returns their numbers, counted over all files; None where all
        are taken.
        """
        limit = self.data.limit
        if not isinstance(limit, int) and not any(group.take for group in self._groups):
            return None
        labels: list[str] = []
        chosen: list[int] = []
        for group in self._groups:
            start = len(labels)
            for opened in group.opened:
                labels += labels_in(opened)
            drawn = draw_rows(labels[start:], group.take)
            chosen += [start + index for index in drawn]
        if isinstance(limit, int):
            kept = draw_rows([labels[index] for index in chosen], limit)
            chosen = [chosen[index] for index in kept]
        return frozenset(chosen)

    def _read(self, opened: Opened, located: Located) -> Example | str:
        """Reads a row into its Example, or returns the reason why it is not used."""
        row = located.row
        if not self.answered:
            row = completed(row, named_row(row, opened.columns), opened.reader)
        row, changes = prepared(row, opened)
        given = example_of(opened.reader.read, row)
        example, mended = self._finished(self.meant(given) if self.meant else given)
        self.counts.update((located.file, key) for key in (*changes, *mended))
        return example

    def _finished(self, example: Example) -> tuple[Example | str, list[str]]:
        """Returns the example ready to render, or the reason why it is not used, and what was
        changed.
        """
        return finished(example)


def examples(
    data: Data,
    eats: type = Chat,
    meant: Callable[[Example], Example] | None = None,
    reading: type[Reading] = Reading,
) -> Reading:
    """Reads every row of ``data`` into an Example of the kind ``eats``; the ``reading`` also holds
    what was dropped and noted. ``meant`` explains what a row alone does not say.
    """
    return reading(data, eats, meant)


def _left(path: str, found: list[Path]) -> list[str]:
    """Returns the names of a folder's files that are not in the training part; none where it has no
    parts.
    """
    here = Path(path).expanduser()
    if not here.is_dir():
        return []
    read = {on_disk(file)[0] for file in found}
    left = [file for file in every_file(here) if file not in read]
    return [str(file.relative_to(here)) for file in left]


def sized(path: str) -> tuple[str, int | None]:
    """Splits ``file#2000`` into the file and its number of rows, unless a file has that
    very name.
    """
    name, mark, count = path.rpartition("#")
    if mark and count.isdecimal() and int(count) and not os.path.exists(path):
        return name, int(count)
    return path, None


def _sample(file: Path, columns: Mapping[str, str]) -> list[dict[str, object]]:
    """Reads the first rows of a file, as many as it takes to see what its columns hold."""
    return [located.row for located in islice(rows(file, columns=columns, faults=Faults()), _MORE)]
