"""What lies in a search's folder. A trial is done when its file is there, and is never done
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunesmith.planning.begun import begin
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder

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

    @property
    def page(self) -> Path:
        """The page with the picture and the tables."""
        return self.path / "search.html"

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
        begin(self.settings, run, may_change=MAY_CHANGE)
