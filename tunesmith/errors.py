"""Errors that a user can mend; each says where, what was found, what is allowed and what to do.

They print without a traceback. Exit codes: 2 for input and settings, 1 for a run that failed,
74 for the disk (EX_IOERR), 75 for a run that stopped but can be resumed (EX_TEMPFAIL).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tunesmith.words import say

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
