"""The runs that a page may show: those inside one folder, each found by its name there alone."""

from __future__ import annotations

from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.report.runs import name_of_run, run_folders, runs
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say


class Runs:
    """The runs of a folder. Raises SpecError where there is no such folder."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise SpecError(Problem(str(root), say("runs.no_folder")))
        self.root = root.resolve()

    def table(self) -> list[JsonObject]:
        """Returns what ``tunesmith runs`` says of each, the newest first."""
        return runs(self.root)[::-1]

    def find(self, name: str) -> RunFolder | None:
        """Returns the run of a name of the table. No name leads out of the folder, by dots or by a
        link: it is looked up among the runs and never opened as a path.
        """
        for path in run_folders(self.root):
            if name_of_run(path, self.root) == name and path.resolve().is_relative_to(self.root):
                return RunFolder(path)
        return None
