"""What lies in a search's folder. A trial is done when its file is there, and is never done
again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.planning.begun import begin
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.trials.files import got, put

MAY_CHANGE = {"out", "lang", "search.place"}


@dataclass(frozen=True)
class Training:
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

    @property
    def told(self) -> Path:
        """The file in which its process notes why it ends."""
        return self.path.with_name(f".{self.path.name}-ended.json")

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.done.is_file() or self.failed.is_file()


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

    def trial(self, number: int) -> Training:
        """Returns the folder of a trial."""
        return Training(self.path / "trials" / f"{number:03d}")

    def whole(self, name: str) -> Training:
        """Returns the folder of a whole training, ``best`` or ``as-given``."""
        return Training(self.path / name)

    def begin(self, run: Run, *, may_change: Collection[str]) -> None:
        """Writes the settings; raises SpecError where the folder holds a search with other settings
        than those that ``may_change``, or something else.
        """
        begin(self.settings, run, may_change={*MAY_CHANGE, *may_change})

    def choose(self, values: Mapping[str, Any]) -> None:
        """Notes the values that are trained whole as ``best``. Where more trials have found better
        ones than an earlier call, its run stays as ``best-1``, ``best-2`` and so on.
        """
        noted = self.path / "chosen.json"
        best = self.whole("best")
        now = json.loads(json.dumps({"values": values}))
        if got(noted) not in (None, now) and best.path.exists():
            number = 1
            while (aside := self.whole(f"best-{number}").path).exists():
                number += 1
            os.replace(best.path, aside)
        if got(noted) != now:
            best.failed.unlink(missing_ok=True)
            put(noted, now)
