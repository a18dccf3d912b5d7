"""The commands that mend rows, made complete: a file that only the run's settings make readable is
read with the same settings by them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from tunesmith.data.choose_reader import usual_objective
from tunesmith.data.ledger import Ledger
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat
from tunesmith.settings.overrides import typed
from tunesmith.settings.run import Data
from tunesmith.words import Said

READS = re.compile(r"tunesmith data leave_out FILE OUT found=\[\w+\]")
"""The command that looks at what rows mean, as the words of all findings write it."""


@contextmanager
def whole_remedies(ledger: Ledger, data: Data, eats: type) -> Iterator[None]:
    """Completes the commands in what the ledger notes within, and in a DataError raised there."""
    try:
        yield
    except DataError as error:
        problems = [
            Problem(problem.where, whole(problem.text, data, eats)) for problem in error.problems
        ]
        raise DataError(problems) from None
    ledger.notes[:] = [whole(note, data, eats) for note in ledger.notes]


def whole(text: str, data: Data, eats: type) -> str:
    """Returns the text with each command that reads rows followed by the settings under which
    ``data`` is read as the kind of Example ``eats``.
    """
    if not READS.search(text):
        return text
    settings = " ".join(shlex.quote(setting) for setting in _settings(data, eats))
    completed = READS.sub(lambda command: f"{command[0]} {settings}".rstrip(), text)
    return Said(completed, text.key) if isinstance(text, Said) else completed


def _settings(data: Data, eats: type) -> Iterator[str]:
    """Yields the settings that differ from what the command does by itself; what each source says
    otherwise is left to be filled in.
    """
    if (objective := usual_objective(eats)) != usual_objective(Chat):
        yield f"objective={objective}"
    for name in ("columns", "reader"):
        values = [source.values(name)[name] or data.values(name)[name] for source in data.sources]
        if any(value != values[0] for value in values):
            yield f"{name}=…"
        elif values[0]:
            yield typed(name, values[0])
