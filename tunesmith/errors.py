"""Errors that a user can mend; each says where, what was found, what is allowed and what to do.

They print without a traceback. Exit codes: 2 for input and settings, 1 for a run that failed,
74 for the disk (EX_IOERR), 75 for a run that stopped but can be resumed (EX_TEMPFAIL).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tunesmith.words import Said, say

FAULTS = (
    ImportError,
    SyntaxError,
    NameError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
)
"""What Python code that is not ours raises where it is broken."""


@dataclass(frozen=True)
class Problem:
    """One fault: ``where`` is a key path (``method.rank``) or ``file:row:field``."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


_KINDS, _NAMED = 10, 5
"""Kinds of problems that are told, and further places that one names."""


@dataclass
class _Kind:
    """The first problem of a kind, its first rows, the last, and how many there are."""

    problem: Problem
    rows: list[str] = field(default_factory=list)
    last: str = ""
    count: int = 0

    def told(self) -> Problem:
        """Returns the problem at its first row, with the number of the others."""
        (first, *more), text = self.rows, self.problem.text
        if more:
            here = first.rpartition(":")[0] + ":"
            named = ", ".join(row.removeprefix(here) for row in more)
            named += ", …" if self.count > len(self.rows) else ""
            text += say("spec.alike", count=self.count - 1, places=named)
        return Problem(":".join(filter(None, (first, self.problem.where))), text)


@dataclass
class Alike:
    """Problems of many rows: those that say the same of the same field are one, told once at its
    first row with the number of the others.
    """

    kinds: dict[tuple[str, str], _Kind] = field(default_factory=dict)

    def add(self, row: str, problem: Problem) -> None:
        """Notes a problem of a row, whose ``where`` is a field in it."""
        text = problem.text
        key = re.sub(r"\d+", "#", problem.where), text.key if isinstance(text, Said) else text
        kind = self.kinds.setdefault(key, _Kind(problem))
        if row == kind.last:
            return
        kind.last = row
        kind.count += 1
        if len(kind.rows) <= _NAMED:
            kind.rows.append(row)

    def told(self) -> list[Problem]:
        """Returns one problem for each kind, ten at most and the number of all."""
        problems = [kind.told() for kind in list(self.kinds.values())[:_KINDS]]
        if len(self.kinds) > _KINDS:
            problems.append(
                Problem("", say("spec.more_kinds", shown=_KINDS, kinds=len(self.kinds)))
            )
        return problems


class TunesmithError(Exception):
    """An error with one or several problems; ``str()`` is the whole message for the user."""

    exit_code = 1

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem("", problems)
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(str(self))

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        return "\n".join(
            [say("spec.problems", count=len(self.problems)), *(f"  {p}" for p in self.problems)]
        )


class SpecError(TunesmithError):
    """A setting that does not exist, does not parse or does not fit the others."""

    exit_code = 2


class DataError(TunesmithError):
    """A file or row that cannot be read, or holds nothing to train on."""

    exit_code = 2


class ModelError(TunesmithError):
    """A model folder, file or hub id that cannot be used."""

    exit_code = 2


class CheckpointError(TunesmithError):
    """No checkpoint can be resumed from, or it belongs to another run."""

    exit_code = 2


class ExportError(TunesmithError):
    """An exported model that does not behave as the trained one."""


class HubError(TunesmithError):
    """A hub that does not take a model, or does not answer; the folder here is untouched."""


class TrainingError(TunesmithError):
    """A run that cannot go on, such as one whose loss is not finite."""


class DiskError(TunesmithError):
    """No space, or a disk that refuses to write; what was saved before is untouched."""

    exit_code = 74


class SamplerLost(TunesmithError):
    """The server that samples a run's answers does not answer any more."""


class Stopped(TunesmithError):
    """A run that a signal ended after a checkpoint; ``tunesmith train RUN --resume`` continues
    it.
    """

    exit_code = 75


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's text, at most 300 characters."""
    return str(error).strip().split("\n")[0][:300]


def named_line(error: BaseException) -> str:
    """Returns the error's class and the first line of its text: ``OSError: no such host``."""
    return ": ".join(filter(None, [type(error).__name__, first_line(error)]))
