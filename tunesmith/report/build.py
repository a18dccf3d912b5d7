"""report.html, one page that says what a run did and whether it helped, and loss_curve.png."""

from __future__ import annotations

import datetime
import shlex
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import DiskError, Problem
from tunesmith.health.course import Course
from tunesmith.health.rules import all_signs
from tunesmith.pages.templates import templates
from tunesmith.plain import JsonObject
from tunesmith.proving.grading import grading_lines
from tunesmith.proving.judge import metric
from tunesmith.proving.proof import rival_named, rival_of, which_model
from tunesmith.proving.trainings import training_lines
from tunesmith.report.asked import asked, over_time, some
from tunesmith.report.charts import short
from tunesmith.report.checkpoints import checkpoints
from tunesmith.report.classes import class_tables, counted
from tunesmith.report.curves import curves, draw_loss_curve, events
from tunesmith.report.efficiency import efficiency
from tunesmith.report.language import Say, speaker
from tunesmith.report.machine import machine, trained_with, versions
from tunesmith.report.meanings import meanings
from tunesmith.report.mistakes import mistakes
from tunesmith.report.outcome import outcome
from tunesmith.report.retention import retention
from tunesmith.report.rows import cut, lengths, shares
from tunesmith.report.runs import model_step
from tunesmith.report.samples import Sample, choose, read_items
from tunesmith.report.settings import settings
from tunesmith.report.verdict import (
    answer_score,
    contenders,
    intervals,
    metric_name,
    metrics,
    name_of,
    number,
    standing,
    verdict,
)
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import Share

if TYPE_CHECKING:
    from jinja2 import Environment

LONGEST_TEXT = 1500
"""Characters of an answer that the page shows; all of it is in items.jsonl."""


def build(folder: RunFolder, *, lang: str | None = None) -> Path:
    """Writes report.html and loss_curve.png into the run's folder, from what lies there, and
    returns the page's path.

    ``lang`` is en or zh; by default the run's own language, then that of the process.
    """
    run = folder.resolved().run
    say = speaker(run, lang)
    try:
        draw_loss_curve(folder, say)
        write_whole(folder.report, page(folder, run, say))
    except OSError as error:
        raise DiskError(
            Problem(
                str(folder.report), say("report.cannot_write", reason=error.strerror or str(error))
            )
        ) from None
    return folder.report


def page(folder: RunFolder, run: Run, say: Say, *, buttons: Mapping[str, str] | None = None) -> str:
    """Renders the page as HTML. Within pages that have ``buttons`` for what a command does, their
    names stand in place of the commands.
    """
    pairs = OBJECTIVES.make(run.objective).pairs
    name = shlex.quote(str(folder.path))
    trained = trained_with(folder)
    markdown = folder.questions.read_text(encoding="utf-8") if folder.questions.is_file() else ""
    questions = asked(markdown, say)
    contents = {
        "say": lambda key, **values: say(f"report.{key}", **values),
        "say_mistakes": lambda key, **values: say(f"mistakes.{key}", **values),
        "name": folder.path.resolve().name,
        "folder": name,
        "buttons": buttons,
        "lang": "zh-CN" if say.language == "zh" else "en",
        "date": datetime.datetime.fromtimestamp(folder.run_yaml.stat().st_mtime).strftime(
            "%Y-%m-%d %H:%M"
        ),
        "run": run,
        "outcome": outcome(folder, run, say),
        "ledger": _ledger(folder, say),
        "proof": _proof(folder, run, say),
        "settings": settings(folder.settings_text),
        "curves": curves(folder.steps(), say, pairs=pairs, used=model_step(folder)),
        "events": events(folder.steps(), say),
        "signs": [sign.told(say) for sign in all_signs(Course.of(folder))],
        "questions": some(questions),
        "questions_of": len(questions),
        "over_time": some(over_time(folder.steps(), say)),
        "versions": versions(trained),
        "machine": machine(trained),
    }
    return templates_of().get_template("page.html.j2").render(contents)


@cache
def templates_of() -> Environment:
    """Opens the folder of templates, once: to compile that of a run takes half of the time of its
    page.
    """
    made = templates(Path(__file__).parent)
    made.filters["cut"] = _cut
    made.filters["count"] = lambda value: f"{value:,}"
    made.filters["short"] = short
    return made


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def _ledger(folder: RunFolder, say: Say) -> JsonObject | None:
    ledger = folder.read(folder.ledger)
    if ledger is None:
        return None
    drawn = {"shares": shares(ledger, say), "bins": lengths(ledger), "cut": cut(ledger, say)}
    return {**ledger, **drawn}


def _with_scores(sample: Sample, primary: str) -> tuple[Sample, str, str]:
    """Returns a sample with the scores of both answers as text."""
    base = answer_score(primary, sample.base.score)
    return sample, base, answer_score(primary, sample.tuned.score)


def _proof(folder: RunFolder, run: Run, say: Say) -> JsonObject | None:
    """Returns all that the page needs of the proof, as text and percentages."""
    proof = folder.read(folder.proof)
    if proof is None:
        return None
    primary = proof["primary"]
    columns = metrics(proof)
    table = [
        (
            who,
            name_of(who, proof, say),
            [number(name, proof["contenders"][who].get(name)) for name in columns],
        )
        for who in contenders(proof)
    ]
    rival = rival_of(proof)
    output = OBJECTIVES.make(run.objective).output
    samples = choose(read_items(folder.items), primary, rival, output.right)
    kinds = Counter(sample.kind for sample in samples)
    return {
        "verdict": verdict(proof, say),
        "standing": standing(proof, say),
        "rows": proof["items"],
        "model": which_model(proof, say),
        "primary": metric_name(primary, say),
        "columns": [(metric_name(name, say), metric(name).higher) for name in columns],
        "table": table,
        "intervals": [
            (metric_name(name, say), intervals_of)
            for name in columns
            if (intervals_of := intervals(proof, name, say))
        ],
        "stopped": {
            name_of(who, proof, say): Share(f"{share * 100:.0f} %")
            for who, share in (proof.get("stopped") or {}).items()
        },
        "samples": [_with_scores(sample, primary) for sample in samples],
        "chosen": {
            "gains": kinds["gain"],
            "regressions": kinds["regression"],
            "even": kinds["even"],
        },
        "wrote": bool(proof.get("generation")) or "classes" in proof,
        "rival": name_of(rival, proof, say),
        "counted": counted(proof),
        "grading": [
            *grading_lines(proof.get("grading"), say),
            *training_lines(proof.get("trainings"), say),
        ],
        "meanings": meanings(proof, say),
        "retention": retention(proof, read_items(folder.path / "suites.jsonl"), say),
        "checkpoints": checkpoints(folder, say),
        "efficiency": efficiency(proof, say),
        "mistakes": mistakes(proof, rival_named(proof, say), say),
        "classes": [
            (name_of(who, proof, say), classes) for who, classes in class_tables(proof).items()
        ],
    }
