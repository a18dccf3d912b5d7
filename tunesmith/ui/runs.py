"""The runs that a page may show: those inside one folder, each found by its name there alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.report.compared import written_settings
from tunesmith.report.runs import name_of_run, run_folders, run_row
from tunesmith.settings.family import OBJECTIVES
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.standing import seen
from tunesmith.words import say


@dataclass(frozen=True)
class Listed:
    """A run in the table: what ``tunesmith runs`` says of it, and its settings. ``mark`` is another
    one as soon as that changes.
    """

    mark: str
    row: JsonObject
    settings: Mapping[str, str]
    routes: frozenset[str]
    """The routes at which a server of it would answer; none before it is finished."""

    @property
    def chats(self) -> bool:
        """Whether one can talk with its model."""
        return "chat/completions" in self.routes


class Runs:
    """The runs of a folder, which is made where it is absent; SpecError where it cannot be."""

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = say("ui.no_folder", reason=error.strerror or str(error))
            raise SpecError(Problem(str(root), text)) from None
        self.root = root.resolve()
        self._listed: dict[str, Listed] = {}

    def table(self) -> list[Listed]:
        """Returns all runs, the newest first; only those that changed are read again."""
        rows: dict[str, Listed] = {}
        for name, folder in self._inside():
            mark = seen(folder, False)
            before = self._listed.get(name)
            try:
                rows[name] = (
                    before if before and before.mark == mark else _listed(folder, name, mark)
                )
            except (OSError, ValueError):  # the folder went away while it was read
                continue
        self._listed = rows
        newest = sorted(rows.values(), key=lambda row: (row.row["date"], row.row["name"]))
        return newest[::-1]

    def find(self, name: str) -> RunFolder | None:
        """Returns the run of a name of the table. No name leads out of the folder, by dots or by a
        link: it is looked up among the runs and never opened as a path.
        """
        return next((folder for name_there, folder in self._inside() if name_there == name), None)

    def _inside(self) -> Iterator[tuple[str, RunFolder]]:
        """Yields the runs with their names, without those that a link leads to outside."""
        for path in run_folders(self.root):
            if path.resolve().is_relative_to(self.root):
                yield name_of_run(path, self.root), RunFolder(path)

    def typed(self, folder: RunFolder) -> str:
        """Returns a run's folder as a command line has it: from here, where it lies below."""
        here = Path.cwd()
        below = folder.path.is_relative_to(here)
        return os.path.relpath(folder.path, here) if below else str(folder.path)


def differences(settings: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """Returns, by run, the settings in which it is not like most of the others: ``path=value``."""
    every = dict.fromkeys(path for setting in settings for path in setting)
    usual = {path: _usual([setting.get(path) for setting in settings if setting]) for path in every}
    return [
        [f"{path}={value}" for path, value in setting.items() if usual[path] != value]
        for setting in settings
    ]


def _usual(values: Sequence[str | None]) -> str | None:
    """Returns the value that more runs have than any other; None where there is no such one."""
    counts = Counter(values).most_common(2)
    return None if len(counts) > 1 and counts[0][1] == counts[1][1] else counts[0][0]


def _listed(folder: RunFolder, name: str, mark: str) -> Listed:
    row = run_row(folder, name)
    if "problem" in row:
        return Listed(mark, row, {}, frozenset())
    output = OBJECTIVES.make(folder.resolved().run.objective).output
    routes = output.endpoints if row["state"] == "finished" else ()
    return Listed(mark, row, written_settings(folder), frozenset(routes))
