"""What a run left, in a few lines: its model, the time and the place it took, how to use it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tunesmith.display.table import readable
from tunesmith.proving.efficiency import duration
from tunesmith.report.language import Say
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Outcome:
    """``facts`` are values with what they are, ``use`` the commands."""

    facts: tuple[tuple[str, str], ...]
    use: tuple[str, ...]


def outcome(folder: RunFolder, run: Run, say: Say) -> Outcome | None:
    """Returns the lines of a run that left a model; None where there is none yet."""
    facts_file = folder.read(folder.model / "tunesmith.json")
    if facts_file is None:
        return None
    seconds = sum(float(line["seconds"]) for line in folder.steps() if "seconds" in line)
    size = sum(file.stat().st_size for file in folder.model.rglob("*") if file.is_file())
    facts = (
        (str(facts_file["step"]), say("report.step_used")),
        (duration(seconds, say), say("report.time_trained")),
        (readable(size), say("report.size", folder=folder.model.name)),
    )
    return Outcome(facts, _use(folder, run))


def _use(folder: RunFolder, run: Run) -> tuple[str, ...]:
    """Returns the three commands that use the model."""
    name = shlex.quote(str(folder.path))
    writes = OBJECTIVES.make(run.objective).output.writes
    first = f"tunesmith chat {name}" if writes else f"tunesmith prove {name}"
    return (first, f"tunesmith predict {name} rows.jsonl", f"tunesmith export {name} merged")
