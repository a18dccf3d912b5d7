"""Where a run stands, from its folder alone."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.plain import JsonObject, Named
from tunesmith.report.asked import Asked, asked
from tunesmith.report.curves import Curve, curves, events, held_out, points, watched_kind
from tunesmith.report.language import Say
from tunesmith.report.runs import cell, model_step, run_row, state_words
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.process import NAME, process_of
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.control import SAID
from tunesmith.ui.stamps import stamp
from tunesmith.words import language, say

RECENT = 20
"""Steps whose median time says how long the rest will take."""
LAST_LINES = 12
"""Lines of what a resumed process said, where it ended without going on."""


@dataclass(frozen=True)
class Standing:
    """What the page shows of a run at one moment."""

    phase: str
    share: float | None
    """The part of the run that is done; None where it is not running."""
    facts: tuple[tuple[str, str], ...]
    """Name and value of what is known in one number or word."""
    running: bool
    may_stop: bool
    may_resume: bool
    next: str
    """What comes next for a finished run: prove, proof (to be read), chat, export; else empty."""
    curves: tuple[Curve, ...]
    events: tuple[tuple[int, str], ...]
    questions: tuple[Asked, ...]
    report: bool
    said: str
    """The end of what a process said that was to resume the run, and did not."""


def seen(folder: RunFolder, starting: bool) -> str:
    """Returns a mark that is another one as soon as the page has something new to show; cheap
    enough to be asked for every second of a record of any length.
    """
    files = (folder.run_yaml, folder.record, folder.questions, folder.proof, folder.report)
    more = (folder.model / "tunesmith.json", folder.path / NAME, folder.path / SAID)
    stamps = [stamp(path) for path in (*files, *more)]
    return hashlib.sha256(repr((stamps, folder.busy, starting)).encode()).hexdigest()[:16]


def standing(folder: RunFolder, starting: bool) -> Standing:
    """Returns where the run stands; ``starting`` while a process that was begun to resume it has
    not yet taken its folder. Raises TunesmithError where the folder cannot be read.
    """
    run = folder.resolved().run
    record = folder.steps()
    row = run_row(folder, folder.path.name)
    speak = Say(language())
    running = row["state"] == "running"
    process = process_of(folder.path) if running else None
    stopping = process is not None and process.asked
    share = done_share(record, run) if running else None
    text = folder.questions.read_text(encoding="utf-8") if folder.questions.is_file() else ""
    return Standing(
        phase=_phase(row, record, starting=starting, stopping=stopping),
        share=share,
        facts=(*_numbers(record, share), *_outcome(row)),
        running=running,
        may_stop=process is not None and not stopping,
        may_resume=row["state"] == "stopped" and not starting,
        next=_next(folder, run, row),
        curves=tuple(curves(record, speak, used=model_step(folder))),
        events=tuple(events(record, speak)),
        questions=tuple(asked(text, speak)),
        report=folder.report.is_file(),
        said=last_lines(folder.path) if row["state"] == "stopped" and not starting else "",
    )


def done_share(record: Sequence[Named], run: Run) -> float:
    """Returns the part of the run that is done, by its last step; 0 before the first."""
    steps = [line for line in record if "epoch" in line]
    if not steps:
        return 0.0
    wanted = run.train.steps
    done = steps[-1]["step"] / wanted if wanted else steps[-1]["epoch"] / run.train.epochs
    return min(1.0, done)


def seconds_left(record: Sequence[Named], share: float) -> float | None:
    """Returns how long the remaining steps take at the median pace of the last ones, without
    evaluations; None before the first step.
    """
    steps = [line for line in record if "seconds" in line]
    if not steps or share <= 0:
        return None
    pace = statistics.median(line["seconds"] for line in steps[-RECENT:])
    return pace * steps[-1]["step"] * (1 - share) / share


def _next(folder: RunFolder, run: Run, row: JsonObject) -> str:
    if row["state"] != "finished":
        return ""
    if row.get("proof"):
        return "proof"
    if (folder.read(folder.ledger) or {}).get("proof"):
        return "prove"
    # Nothing was held out, so it is used as it is.
    writes = OBJECTIVES.make(run.objective).output.writes
    return "chat" if writes else "export"


def _phase(row: JsonObject, record: Sequence[Named], *, starting: bool, stopping: bool) -> str:
    if stopping:
        return say("ui.phase_stopping")
    if starting:
        return say("ui.phase_starting")
    if row["state"] == "running":
        stepped = any("epoch" in line for line in record)
        return say("ui.phase_training" if stepped else "ui.phase_preparing")
    return state_words(row)


def _numbers(record: Sequence[Named], share: float | None) -> list[tuple[str, str]]:
    """Returns the last number of each kind, and the time left of a run that is running."""
    numbers = []
    left = seconds_left(record, share) if share is not None else None
    if left is not None:
        numbers.append((say("ui.left"), duration(left)))
    train = points(record, "loss")
    watch = held_out(record)
    if train:
        numbers.append((say("ui.step"), f"{int(train[-1][0]):,}"))
        numbers.append((say("report.train_loss"), f"{train[-1][1]:.4g}"))
    if watch:
        numbers.append((say(f"report.loss_of_{watched_kind(record)}"), f"{watch[-1][1]:.4g}"))
    reward = points(record, "reward")
    if reward:
        numbers.append((say("report.reward"), f"{reward[-1][1]:.4g}"))
    return numbers


def _outcome(row: JsonObject) -> list[tuple[str, str]]:
    return [(say("runs.verdict"), cell(row, "verdict"))] if row.get("proof") else []


def duration(seconds: float) -> str:
    """Says a number of seconds in the largest units that tell it."""
    whole = round(seconds)
    if whole < 60:
        return say("ui.seconds", seconds=whole)
    minutes = round(seconds / 60)
    if minutes < 60:
        return say("ui.minutes", minutes=minutes)
    return say("ui.hours", hours=minutes // 60, minutes=minutes % 60)


def last_lines(folder: Path) -> str:
    """Returns the end of what a process said that a page began."""
    path = folder / SAID
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(lines[-LAST_LINES:])
