"""What lies in a search's folder. A trial is done when its file is there, and is never done
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.planning.lines import leaves
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import Run, read_run
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

MAY_CHANGE = {"out", "lang", "search.trials"}


@dataclass(frozen=True)
class Place:
    """The folder of one training: a run, and what came of it."""

    path: Path

    @property
    def run(self) -> RunFolder:
        """The training as a run."""
        return RunFolder(self.path)

    @property
    def done(self) -> Path:
        """The file with what the validation rows said at its end."""
        return self.path / "trial.json"

    @property
    def failed(self) -> Path:
        """The file that says why it could not be finished."""
        return self.path.with_name(f"{self.path.name}-failed.json")


@dataclass(frozen=True)
class Folder:
    """The folder of a search."""

    path: Path

    @property
    def settings(self) -> Path:
        """The file with the search's settings."""
        return self.path / "search.yaml"

    @property
    def result(self) -> Path:
        """The file with every trial and what was chosen."""
        return self.path / "search.json"

    def trial(self, number: int) -> Place:
        """Returns the folder of a trial."""
        return Place(self.path / "trials" / f"{number:03d}")

    def whole(self, name: str) -> Place:
        """Returns the folder of a whole training, ``best`` or ``as-given``."""
        return Place(self.path / name)

    def begin(self, run: Run) -> None:
        """Writes the settings; raises SpecError where the folder holds a search with other settings
        (more trials may be asked for), or something else.
        """
        if not self.settings.is_file():
            if self.path.exists() and any(one.name != ".lock" for one in self.path.iterdir()):
                raise SpecError(Problem("out", say("search.folder_taken", out=self.path)))
        else:
            self._same(run)
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.settings, Resolved(run).dump())

    def _same(self, run: Run) -> None:
        then, now = _flat(read_run(self.settings)), _flat(run)
        changed = [
            Problem(name, say("search.changed", then=then[name], now=now[name]))
            for name in now
            if then.get(name) != now[name]
        ]
        if changed:
            raise SpecError([*changed, Problem("out", say("search.other_folder", out=self.path))])


def _flat(run: Run) -> JsonObject:
    return {path: value for path, value in leaves(run) if path not in MAY_CHANGE}
