"""What is wrong with a run that has a record, from what lies in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tunesmith.health.signs import Sign


def signs_of(run: RunFolder | str | Path) -> list[Sign]:
    """Returns what the run told itself, and what the rules over its record find; a proof that lies
    beside it is looked at too. SpecError where there is no run.
    """
    from tunesmith.health.course import Course
    from tunesmith.health.rules import all_signs

    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    folder.resolved()
    return all_signs(Course.of(folder))
