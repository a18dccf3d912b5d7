"""``tunesmith demo``: the main job on real questions with the starter model, by a recipe and the
verbs that anybody has.
"""

from __future__ import annotations

import importlib.metadata
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import api
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import Named
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.planning.plan import Plan

RECIPE = "demo_trec.yaml"


def recipe(name: str) -> Path:
    """Returns a recipe's file: in the source tree, or where the installed package put it."""
    beside = Path(__file__).parents[2] / "recipes" / name
    if beside.is_file():
        return beside
    try:
        installed = importlib.metadata.files("tunesmith") or []
    except importlib.metadata.PackageNotFoundError:
        installed = []
    for file in installed:
        if file.name == name and Path(str(file.locate())).is_file():
            return Path(str(file.locate()))
    raise SpecError(Problem(name, say("demo.no_recipe")))


def free_folder(wanted: Path) -> Path:
    """Returns ``wanted``, or adds the first free number: a demo that ran before stays as it is."""
    number, folder = 1, wanted
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def left_off(wanted: Path) -> RunFolder | None:
    """Returns the newest demo at ``wanted`` or beside it that was interrupted; None where all are
    done.
    """
    newest = None
    number, folder = 1, wanted
    while folder.exists():
        newest = RunFolder(folder)
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    begun = newest is not None and newest.run_yaml.is_file() and not _done(newest)
    return newest if begun else None


def _done(run: RunFolder) -> bool:
    """Tells whether the report of a run knows its proof: training writes one without."""
    if not (run.proof.is_file() and run.report.is_file()):
        return False
    return run.report.stat().st_mtime_ns >= run.proof.stat().st_mtime_ns


def demo(out: Path = Path("runs/demo"), overrides: Named | None = None) -> RunFolder:
    """Trains, proves and reports, printing each result as it comes; under 8 minutes on two
    cores.
    """
    from tunesmith.display.progress import Shown
    from tunesmith.report.build import build

    began = time.monotonic()
    file = recipe(RECIPE)
    begun = left_off(out)
    if begun is None:
        _print(say("demo.begin", recipe=file), "")
    else:
        _print(say("demo.go_on", folder=begun.path), "")
    with Shown() as shown:
        if begun is None:
            settings = {**(overrides or {}), "out": str(free_folder(out))}
            run = api.train(file, settings, progress=shown, on_plan=_ledger_first)
        elif (begun.model / "tunesmith.json").is_file():
            run = begun
        else:
            run = api.train(begun.path, resume=True, progress=shown)
        proof = api.prove(run, progress=shown)
    _print("", *proof.lines(), "", *_answers(run), "")
    report = build(run)
    _print(say("demo.report", path=report.absolute()), say("demo.model", path=run.model.absolute()))
    _print(say("demo.end", minutes=f"{(time.monotonic() - began) / 60:.1f}", folder=run.path))
    return run


def _ledger_first(plan: Plan) -> None:
    """Prints what the data is before what is done with it."""
    assert plan.prepared is not None, "a plan without problems has its data"
    _print(*plan.prepared.ledger.lines(), "", *plan.fact_lines(), "")


def _answers(run: RunFolder) -> list[str]:
    """Returns the questions with the first answer, the base's, and the last one, the tuned
    model's.
    """
    from tunesmith.report.asked import asked
    from tunesmith.report.language import speaker

    if not run.questions.is_file():
        return []
    lines = [say("demo.questions")]
    words = speaker(run.resolved().run, None)
    for question in asked(run.questions.read_text(encoding="utf-8"), words):
        lines.append(f"  {question.question}")
        for key, (_, text) in (
            ("demo.base", question.answers[0]),
            ("demo.tuned", question.answers[-1]),
        ):
            lines.append(f"    {say(key)}  {' '.join(text.split())}")
    return lines


def _print(*lines: str) -> None:
    print("\n".join(lines), flush=True)
