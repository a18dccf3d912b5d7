"""Where the rows and the model of a run lie: whole paths for what is on this machine.

What reads rows is imported where it is asked: a setting is refused without it.
"""

from __future__ import annotations

import os
from pathlib import Path

from tunesmith.errors import DataError
from tunesmith.settings.run import Run


def place(path: str) -> str:
    """Returns the whole path of what exists; an id, ``package:NAME`` and what does not exist stay
    unchanged.
    """
    from tunesmith.data.reading import sized

    name, rows = sized(path)
    here = Path(name).expanduser()
    if not os.path.exists(here) or name.startswith("package:"):
        return path
    return os.path.abspath(here) + (f"#{rows}" if rows is not None else "")


def paths(run: Run) -> list[str]:
    """Returns every file, folder or id that rows come from."""
    from tunesmith.data.reading import sized

    paths = [sized(source.path)[0] for source in run.data.sources]
    return [*paths, run.data.held_out] if isinstance(run.data.held_out, str) else paths


def refuse_absent(run: Run) -> None:
    """Raises DataError where rows of the run lie nowhere: looked at before anything is imported
    that trains, which takes seconds.
    """
    from tunesmith.data.find import find_data

    problems = []
    for path in paths(run):
        try:
            find_data(path)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
