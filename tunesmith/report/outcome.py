"""What a run left, in a few lines: its model, the time and the place it took, how to use it, and
whether it learned its rows by heart.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tunesmith.display.table import readable
from tunesmith.plain import JsonObject
from tunesmith.proving.efficiency import duration
from tunesmith.report.curves import held_out, points
from tunesmith.report.language import Say
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder

RISE = 0.05
"""Share by which the held-out loss must rise above its lowest to be called overfitting."""


@dataclass(frozen=True)
class Outcome:
    """``facts`` are values with what they are, ``use`` the commands, ``warning`` names
    overfitting.
    """

    facts: tuple[tuple[str, str], ...]
    use: tuple[str, ...]
    warning: str | None


def outcome(folder: RunFolder, run: Run, say: Say) -> Outcome | None:
    """Returns the lines of a run that left a model; None where there is none yet."""
    told = folder.read(folder.model / "tunesmith.json")
    if told is None:
        return None
    record = folder.steps()
    seconds = sum(float(line["seconds"]) for line in record if "seconds" in line)
    size = sum(file.stat().st_size for file in folder.model.rglob("*") if file.is_file())
    facts = (
        (str(told["step"]), say("report.step_used")),
        (duration(seconds, say), say("report.time_trained")),
        (readable(size), say("report.size", folder=folder.model.name)),
    )
    return Outcome(facts, _use(folder, run), overfitted(record, int(told["step"]), say))


def overfitted(record: list[JsonObject], used: int, say: Say) -> str | None:
    """Tells where the held-out loss began to rise while the training loss went on falling; None
    where it did not.
    """
    watch, train = held_out(record), points(record, "loss")
    if len(watch) < 3 or len(train) < 4:
        return None
    step, lowest = min(watch, key=lambda point: point[1])
    last = watch[-1][1]
    before = [loss for at, loss in train if at <= step][-5:]
    after = [loss for at, loss in train if at > step][-5:]
    if not before or not after or last - lowest <= RISE * abs(lowest):
        return None
    if sum(after) / len(after) >= sum(before) / len(before):
        return None
    told = {"step": int(step), "lowest": f"{lowest:.4g}", "last": f"{last:.4g}", "used": used}
    return say("report.overfitted", **told)


def _use(folder: RunFolder, run: Run) -> tuple[str, ...]:
    """Returns the three commands that use the model."""
    name = shlex.quote(str(folder.path))
    writes = OBJECTIVES.make(run.objective).output.writes
    first = f"tunesmith chat {name}" if writes else f"tunesmith prove {name}"
    return (first, f"tunesmith predict {name} rows.jsonl", f"tunesmith export {name} merged")
