"""Changes to rows before they are read, one a file: as steps of ``data.steps`` and as the verb
``tunesmith data``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from tunesmith.data.columns.names import ABOUT_THE_ROW, is_called
from tunesmith.data.columns.names import came_from as known_origin
from tunesmith.data.files.file_facts import Located
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.family import TRANSFORMS
from tunesmith.settings.spec import Spec
from tunesmith.words import say

__all__ = [
    "TRANSFORMS",
    "Account",
    "Content",
    "Transform",
    "came_from",
    "content_columns",
    "stepped",
]

Rows = Callable[[], Iterator[Located]]
"""Reads the rows from their first; each call reads them anew."""
Look = Callable[[Rows, Collection[str]], Mapping[str, Collection[int]]]
"""Gives the places of rows, counted from 0, in which each of some oddities is found."""


class Unread(Protocol):
    """A row with nothing to learn."""

    @property
    def file(self) -> Path:
        """Where it stands."""
        ...

    @property
    def number(self) -> int:
        """Its number there."""
        ...

    @property
    def reason(self) -> str:
        """Why there is nothing: ``no answer``."""
        ...


@dataclass(frozen=True)
class Change:
    """What a step did to a row: changed it, or dropped it."""

    file: str
    row: int
    step: str
    did: str
    """``changed`` or ``dropped``."""
    why: tuple[str, ...]
    """In a few words each: ``mojibake``, ``duplicate``, ``phone``."""
    value: float | None = None
    """The number for which it was dropped, where there is one: its perplexity."""
    of: str | None = None
    """The row that it copies (file:row)."""

    def to_json(self) -> JsonObject:
        """Returns one line of the account."""
        return {
            "file": self.file,
            "row": self.row,
            "step": self.step,
            "did": self.did,
            "why": list(self.why),
            **({} if self.value is None else {"value": self.value}),
            **({} if self.of is None else {"of": self.of}),
        }


class _Done(NamedTuple):
    """What a step did to a row, which many rows share; as ``Change`` names it."""

    did: str
    why: tuple[str, ...]
    value: float | None = None
    of: str | None = None


@dataclass
class Account:
    """Every row that a step changed or dropped, with its reason: ``read + added = written +
    dropped``.
    """

    read: int = 0
    written: int = 0
    added: int = 0
    """Rows that were made from others."""
    notes: list[str] = field(default_factory=list)
    """What a person should know about the steps themselves."""
    _done: dict[tuple[str, str], dict[int, _Done]] = field(default_factory=dict)
    """By file and step, and by row: a row that is read twice is told once."""
    _same: dict[_Done, _Done] = field(default_factory=dict)
    """Each of them once: most rows share theirs, and of seven million each takes 500 bytes."""

    def changed(self, located: Located, step: str, *why: str) -> None:
        """Notes a row that is written otherwise than it was read."""
        self._note(located, step, _Done("changed", why))

    def dropped(
        self,
        located: Located,
        step: str,
        *why: str,
        value: float | None = None,
        of: str | None = None,
    ) -> None:
        """Notes a row that is not written, and the one ``of`` which it is a copy."""
        self._note(located, step, _Done("dropped", why, value, of))

    def unread(self, rows: Iterable[Unread], step: str) -> None:
        """Notes the rows that hold nothing to learn."""
        for unread in rows:
            self.dropped(
                Located(unread.file, unread.number, {}), step, unread.reason.replace(" ", "_")
            )

    def skipped(self, lines: Iterable[Located], step: str) -> None:
        """Notes the lines that hold no row: a total, a comment, marks."""
        for located in lines:
            self.read += 1
            self.dropped(located, step, "not_a_row")

    def _note(self, located: Located, step: str, done: _Done) -> None:
        rows = self._done.setdefault((str(located.file), step), {})
        # A row that copies another shares nothing.
        rows[located.number] = done if done.of else self._same.setdefault(done, done)

    def changes(self) -> Iterator[Change]:
        """Yields what was done to rows, by file and step."""
        for (file, step), rows in self._done.items():
            for row, done in rows.items():
                yield Change(file, row, step, *done)

    def counts(self, did: str) -> dict[tuple[str, str], int]:
        """Counts the rows, by step and reason, that were ``changed`` or ``dropped``; a row with
        several reasons counts for each.
        """
        counts = Counter(
            (step, why)
            for (_, step), rows in self._done.items()
            for done in rows.values()
            if done.did == did
            for why in done.why
        )
        return dict(counts.most_common())

    def check(self) -> None:
        """Asserts that every row is accounted for; otherwise the code is wrong."""
        total = self.written + sum(1 for _ in self.left_out())
        accounted = self.read + self.added
        assert accounted == total, f"{accounted} rows read or made, but {total} accounted for"

    def left_out(self) -> Iterator[Change]:
        """Yields the rows that a step dropped."""
        return (change for change in self.changes() if change.did == "dropped")

    def step_lines(self) -> list[str]:
        """Lists what each step changed and dropped, a line for each reason, and the notes."""
        lines = [
            say(f"transforms.{did}", step=step, rows=rows, why=say(f"transforms.why_{why}"))
            for did in ("changed", "dropped")
            for (step, why), rows in self.counts(did).items()
        ]
        return [*lines, *self.notes]

    def lines(self) -> list[str]:
        """Returns the account as lines for a person."""
        return [say("transforms.rows", read=self.read, written=self.written), *self.step_lines()]

    def to_json(self) -> JsonObject:
        """Returns the counts, and what was noted."""
        sums = {
            did: [
                {"step": step, "why": why, "rows": rows}
                for (step, why), rows in self.counts(did).items()
            ]
            for did in ("changed", "dropped")
        }
        counts = {"read": self.read, "added": self.added, "written": self.written}
        return {**counts, **sums, "notes": self.notes}


class Transform:
    """Base of the transforms: ``steps`` gives the rows that remain, as they shall be."""

    name: ClassVar[str]
    makes_rows: ClassVar[bool] = False
    """Whether it puts rows of its own behind others; they stand at the place of these in the file,
    so a step behind it could not say of which row it speaks.
    """

    class Config(Spec):
        """No settings."""

    look: Look | None = None
    """Who says what is odd about rows: who reads them brings it."""
    read_by: ClassVar[tuple[str, ...]] = ()
    """Settings by which the verb reads the rows, as a run does by its own."""
    in_run: ClassVar[Mapping[str, str]] = {}
    """What is set of it as a step of a run, where it could be none with its defaults alone."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def repeats(self) -> bool:
        """Whether the same rows give the same each time, as a run needs that reads them again."""
        return True

    @property
    def writes(self) -> Path | None:
        """A file that it writes beside the rows."""
        return None

    def finish(self) -> None:
        """Does what is left once all rows are written, before the new file takes its place."""

    def undo(self) -> None:
        """Takes back what ``finish`` wrote, because the new file could not take its place."""

    def steps(self, rows: Rows, account: Account) -> Iterator[Located]:
        """Yields the rows in their order, without those that are dropped; reports each that is
        changed or dropped to ``account``.
        """
        raise AssertionError(f"transform {self.name} has no steps")


def refused(steps: Sequence[Transform]) -> list[Problem]:
    """Returns why some of these may be no steps of a run."""
    problems = [
        Problem(f"data.steps.{index}", say("transforms.not_the_same"))
        for index, step in enumerate(steps)
        if not step.repeats
    ]
    problems += [
        Problem(f"data.steps.{index}.{name}", say("transforms.read_by_the_run", name=name))
        for index, step in enumerate(steps)
        for name, value in step.config.values(*step.read_by).items()
        if step.read_by and value is not None
    ]
    return problems + [
        Problem(f"data.steps.{index}", say("transforms.must_be_last", step=step.name))
        for index, step in enumerate(steps[:-1])
        if step.makes_rows
    ]


def came_from(located: Located, names: list[str]) -> JsonObject:
    """Returns where a row came from first: what an earlier step wrote stays, with this step
    added.
    """
    before = known_origin(located.row)
    steps = before.get("steps")
    if isinstance(steps, list):
        return {**before, "steps": [*steps, *names]}
    return {"file": located.file.name, "row": located.number, "steps": names}


class Content:
    """The columns that a step looks at: those that it names, or all but those about the row."""

    def __init__(self, named: list[str] | None) -> None:
        self.named = named
        self.met: set[str] = set()
        self.known: dict[str, None] = {}

    def columns(self, row: JsonObject) -> list[str]:
        """Returns those of a row; a row may lack some."""
        self.known |= dict.fromkeys(row)
        columns = content_columns(row, self.named)
        self.met |= {*columns}
        return columns

    def check(self) -> None:
        """Raises SpecError where no row had a column that is named."""
        missing = [name for name in self.named or () if name not in self.met]
        if missing and self.known:
            values = {"names": ", ".join(map(repr, missing)), "columns": ", ".join(self.known)}
            raise SpecError(Problem("columns", say("transforms.no_such_column", **values)))


def content_columns(row: JsonObject, named: list[str] | None) -> list[str]:
    """Returns the columns that a step looks at: those it names, or all except those that say
    something about the row (id, source, url).
    """
    if named is not None:
        return [name for name in row if name in named]
    return [name for name in row if not is_called(name, ABOUT_THE_ROW)] or list(row)


def stepped(
    rows: Rows, transforms: Sequence[Transform], account: Account, *, within: str | None = None
) -> Rows:
    """Reads the rows after all steps, one after the other; a step that looks at all rows first
    makes those before it run twice, so that no row is held. ``within`` is the setting that lists
    them, where its errors belong.
    """
    for index, transform in enumerate(transforms):
        rows = partial(_stepped, transform, rows, account, within and f"{within}.{index}")
    return rows


def _stepped(
    transform: Transform, rows: Rows, account: Account, within: str | None
) -> Iterator[Located]:
    """Yields the rows of one step; a problem of its settings is told within the list of steps."""
    try:
        yield from transform.steps(rows, account)
    except SpecError as error:
        # An earlier step's rows pass through here, and so do its problems.
        if within is None or any(problem.where.startswith("data.") for problem in error.problems):
            raise
        problems = [
            Problem(f"{within}.{problem.where}", problem.text) for problem in error.problems
        ]
        raise SpecError(problems) from None
