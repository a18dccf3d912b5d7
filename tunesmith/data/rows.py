"""Rows on their way to a model: encoded, hashed, and stripped of everything that the split does not
need.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.columns.names import CAME_FROM, VOTED, came_from
from tunesmith.data.detectors import Detectors
from tunesmith.data.files.sources import Faults, Located
from tunesmith.data.grouping import Marker, Marks
from tunesmith.data.items import Item
from tunesmith.data.ledger import control_note
from tunesmith.data.lengths import shortened
from tunesmith.data.other_kind import wrong_kind
from tunesmith.data.reading import Reading
from tunesmith.data.rendering.conversation import from_question
from tunesmith.data.rendering.render import Render
from tunesmith.data.side_by_side import side_by_side
from tunesmith.data.texts import duplicates
from tunesmith.data.unknown import Pieces, Unknown
from tunesmith.errors import DataError, Problem, TunesmithError
from tunesmith.examples import Example, Text, chats_of
from tunesmith.storage.mapped_arrays import MappedArrays
from tunesmith.words import say

Progress = Callable[[str, int, int], None]
_UNMARKED = Marks()
_SETTINGS = ("model.path", "data.split_by", "data.mix.by", "data.curriculum")
"""What is wrong there is the same for every row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One encoded row. ``key`` hashes all of it but its spacing, ``written`` its spacing too,
    ``asked`` its question.
    """

    file: Path
    number: int
    tokens: tuple[Tokens, ...]
    key: int
    written: int
    asked: int | None
    marks: Marks
    sketch: np.ndarray
    windows: bool
    """Whether the sequences are windows of one long text, which need not stay in one batch."""
    voted: bool = False
    """Whether people chose between its answers, so that it can prove nothing any more."""
    lost: int = 0
    """Tokens cut off."""
    whole: int = 0
    """The longest of its sequences before it was cut (tokens); 0 where it was not."""

    @property
    def length(self) -> int:
        """The longest of its sequences (tokens), of two sides the longer."""
        return max((tokens.longest for tokens in self.tokens), default=0)

    @property
    def total(self) -> int:
        """Number of all its tokens."""
        return sum(map(len, self.tokens))

    @property
    def scored(self) -> int:
        """Number of tokens that are learned."""
        return sum(tokens.scored for tokens in self.tokens)

    @property
    def uncut(self) -> int:
        """Its length as the row has it (tokens)."""
        return max(self.whole, self.length)

    @property
    def unanswered(self) -> bool:
        """Whether the row, or one of the two sides of a pair, has lost all words of its answer."""
        scored = [tokens.scored > 0 for tokens in self.tokens]
        paired = any("side" in tokens.columns for tokens in self.tokens)
        return not (all(scored) if paired else any(scored))

    def learned(self, writes: bool) -> bool:
        """Tells whether there is anything to learn in the row: scored tokens for a model that
        writes.
        """
        return self.scored > 0 if writes else self.length > 0

    def cut(self, limit: int, how: Callable[[Sequence[Tokens], int], tuple[Tokens, ...]]) -> Row:
        """Returns this row with its sequences cut, and the lost tokens counted."""
        tokens = how(self.tokens, limit)
        lost = sum(map(len, self.tokens)) - sum(map(len, tokens))
        return replace(self, tokens=tokens, lost=lost, whole=self.length) if lost else self


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a row becomes by itself, whatever other rows there are; ``error`` is why it became
    nothing.
    """

    key: int = 0
    written: int = 0
    asked: int | None = None
    tokens: tuple[Tokens, ...] = ()
    sketch: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint32))
    lost: int = 0
    whole: int = 0
    opened: bool = False
    """Whether what the assistant said before the first question was left out."""
    controlled: bool = False
    """Whether it holds the text of a control token."""
    error: TunesmithError | None = None


def items_of(
    row: Row, name: str, *, suffix: str = "", example: Example | None = None
) -> list[Item]:
    """Divides the row into items, of a long text one a window; ``name`` is that of its file."""
    where = f"{name}:{row.number}"
    if not row.windows or len(row.tokens) == 1:
        return [Item(where + suffix, row.tokens, example, row.marks.group)]
    return [
        Item(f"{where}/{n}{suffix}", (tokens,), example, row.marks.group)
        for n, tokens in enumerate(row.tokens, 1)
    ]


class Encoder:
    """Rows of files to ``Row``s, by the objective and the render of a run."""

    def __init__(
        self,
        objective: Any,
        render: Render,
        marker: Marker,
        shorten: int | None = None,
        *,
        quick: bool = True,
    ) -> None:
        self.objective, self.render, self.marker = objective, render, marker
        self.quick = quick
        """Whether further processes may make ids by fastokens."""
        self.shorten = shorten
        """Length to which conversations are cut (tokens); None where they are not."""
        self.opened = 0
        """Rows whose first answers were left out, because the chat template cannot begin with one.
        """
        self.detectors = Detectors()
        self.unknown = Unknown(render.pieces)
        self.sketches = MappedArrays()
        self._tokens = MappedArrays()
        self.controlled: list[str] = []
        """Where rows hold the text of a control token, which is read letter by letter."""

    def rows(self, reading: Reading, progress: Progress | None = None) -> list[Row]:
        """Encodes all rows of a reading; raises DataError with those that cannot be
        rendered.
        """
        faults = Faults()
        self.detectors = Detectors(self.marker.mix_by)
        done: list[Row] = []
        seen: dict[int, Row] = {}
        each = side_by_side(
            self._fitting(reading),
            lambda row: (row[0].number, row[1]),
            partial(self._looked_at, seen),
            alone=not self._ours,
            begin=self.render.pieces.quicken if self.quick else None,
        )
        for (located, example), (encoded, sights, pieces) in each:
            self.detectors.add(_place(located), sights)
            try:
                done.append(self._row(located, example, encoded, seen))
                if done[-1] is seen[encoded.key] and pieces is not None:  # no copy
                    self.unknown.add(pieces)
            except DataError as error:
                for problem in error.problems:
                    if problem.where == "data.template":  # the same would be said of every row
                        where = f"{located.where}: {problem.where}"
                        raise DataError(Problem(where, problem.text)) from None
                    if problem.where in _SETTINGS:
                        raise
                    faults.add(located.file, located.number, problem.text, problem.where)
            if progress and len(done) % 256 == 0:
                progress(say("ledger.phase_read"), len(done), 0)
        faults.stop()
        if progress:
            progress(say("ledger.phase_read"), len(done), len(done))
        return done

    def notes(self) -> list[str]:
        """Returns notes on the rows read since the last call."""
        notes = self.detectors.notes()
        if self.opened:
            notes.append(say("ledger.opened", number=self.opened))
        if self.controlled:
            notes.append(control_note(self.controlled))
        self.opened, self.controlled = 0, []
        self.detectors = Detectors()
        return notes

    def learn(self, readings: list[Reading]) -> list[str]:
        """Shows the objective all rows, before the first is encoded; notes for the ledger."""
        return self.objective.learn(
            example for reading in readings for _, example in self._fitting(reading)
        )

    def _fitting(self, reading: Reading) -> Iterator[tuple[Located, Example]]:
        """Yields the rows, all of the kind that the objective learns from."""
        for located, example in reading:
            refuse_other_kind(self.objective, located, example)
            yield located, example

    def _row(
        self, located: Located, example: Example, encoded: Encoded, seen: dict[int, Row]
    ) -> Row:
        if encoded.error is not None:
            raise encoded.error
        has_origin = CAME_FROM in located.row
        marks = (
            _UNMARKED
            if self.marker == Marker() and not has_origin
            else self.marker.of(located, example)
        )
        self.opened += encoded.opened
        voted = has_origin and came_from(located.row).get(VOTED) is True
        key = encoded.key
        if key in seen:
            fields = {"file": located.file, "number": located.number, "voted": voted}
            return replace(seen[key], **fields, marks=marks, written=encoded.written)
        if encoded.controlled:
            self.controlled.append(_place(located))
        seen[key] = Row(
            located.file,
            located.number,
            tuple(map(self._kept, encoded.tokens)),
            key,
            encoded.written,
            encoded.asked,
            marks,
            self.sketches.keep(encoded.sketch),
            isinstance(example, Text),
            voted,
            encoded.lost,
            encoded.whole,
        )
        return seen[key]

    def _kept(self, tokens: Tokens) -> Tokens:
        source = tokens.source_ids_T
        return Tokens(
            self._tokens.keep(tokens.ids_T),
            self._tokens.keep(tokens.weights_T),
            tokens.columns,
            None if source is None else self._tokens.keep(source),
            tokens.lost,
        )

    @property
    def _ours(self) -> bool:
        """Whether the objective is of this package: others may note things while they encode."""
        parts = (self.objective, *vars(self.objective).values())
        return {type(part).__module__.partition(".")[0] for part in parts} <= {
            "tunesmith",
            "builtins",
        }

    def _looked_at(
        self, seen: Collection[int], numbered: tuple[int, Example]
    ) -> tuple[Encoded, list[Any], Pieces | None]:
        """Returns what a row becomes, what the detectors see in it, and its unknown pieces."""
        number, example = numbered
        encoded = self._encoded_row(seen, example)
        return encoded, self.detectors.look(example), self.unknown.look(example, number)

    def _encoded_row(self, seen: Collection[int], example: Example) -> Encoded:
        """Makes what a row becomes by itself; another process may do it, so all is in what it
        returns. A copy of one that was ``seen`` is not encoded again.
        """
        opened = self._opens(example)
        try:
            key, written, asked = self.hashes(example)
            if key in seen:
                return Encoded(key, written, asked, opened=opened)
            met = self.render.control.met
            tokens = tuple(self.objective.encode(example, self.render))
            controlled = self.render.control.met > met
            longest = max((sequence.longest for sequence in tokens), default=0)
            cut = tokens
            if self.shorten is not None and longest > self.shorten and chats_of(example):
                encode = partial(self.objective.encode, render=self.render)
                cut = shortened(example, encode, self.shorten, self.render)
        except TunesmithError as error:
            return Encoded(error=error)
        lost = sum(sequence.lost for sequence in tokens)
        whole = 0
        if cut is not tokens:
            lost += max(sum(map(len, tokens)) - sum(map(len, cut)), 1)
            whole = longest
        sketch = duplicates.sketch(example)
        return Encoded(key, written, asked, cut, sketch, lost, whole, opened, controlled)

    def _opens(self, example: Example) -> bool:
        """Tells whether the template leaves out what the assistant says first."""
        render = self.render
        if not render.converses or render.template is not None or render.conversation.may_open:
            return False
        return any(from_question(chat.turns) != chat.turns for chat in chats_of(example))

    def hashes(self, example: Example) -> tuple[int, int, int | None]:
        """Hashes of all of an example but its spacing, of all of it, and of its question."""
        if self.render.template is not None and (chats := chats_of(example)):
            filled = [
                self.render.template.fill(chat, system=self.render.data.system) for chat in chats
            ]
            whole = [part for pair in filled for part in pair] + duplicates.judgement(example)
            question = [filled[0][0]] if filled[0][0].strip() else []
        else:
            whole = duplicates.content(example)
            question = duplicates.question(example)
        asked = duplicates.fold(question) if question else None
        return duplicates.fold(whole), duplicates.fold_as_written(whole), asked

    def examples(
        self, reading: Reading, wanted: dict[tuple[Path, int], int]
    ) -> Iterator[tuple[tuple[Path, int], Example]]:
        """Reads some rows once more; raises DataError where a file has changed since."""
        left = dict(wanted)
        for located, example in reading.at(wanted):
            at = (located.file, located.number)
            # A step may have put variants of a row at its place.
            if at in left and self.hashes(example)[0] == left[at]:
                del left[at]
                yield at, example
        for file, number in left:
            raise DataError(Problem(f"{file}:{number}", say("ledger.changed")))


def refuse_other_kind(objective: Any, located: Located, example: Example) -> None:
    """Raises DataError for a row that the objective does not learn from."""
    if not isinstance(example, objective.eats):
        raise DataError(Problem(located.where, wrong_kind(objective, example)))


def _place(located: Located) -> str:
    return f"{located.file.name}:{located.number}"


def chosen_rows(
    reading: Reading, wanted: set[str], everything: set[str]
) -> Iterator[tuple[str, Located, Example]]:
    """Yields the rows that have the ids ``wanted``, among the ids ``everything`` of all rows that
    were read: the id, the row as it stands in its file, and its example.
    """
    names_of_files = {name.rpartition(":")[0] for name in everything}
    for located, example in reading:
        file = located.file
        # Files of one name are told apart by a longer one, so the longest that occurs is the
        # file's.
        names = [
            name
            for name in (str(file), f"{file.parent.name}/{file.name}", file.name)
            if name in names_of_files
        ]
        where = f"{names[0]}:{located.number}" if names else ""
        if where in wanted:
            yield where, located, example
