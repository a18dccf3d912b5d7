"""Base and tuned blended: the weights between them are measured on rows that choose, and the best
that keeps what the base could is left as a run.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.blending.curve import Asked, chosen, points
from tunesmith.blending.weights import base_weights, refused, write_between
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.plain import JsonObject
from tunesmith.proving.contest import prepared_again
from tunesmith.proving.interrupted import Kept, weights_in
from tunesmith.proving.retention import asked_suites
from tunesmith.proving.task import evenly
from tunesmith.report.blended import blend_lines, write_page
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.resolved import Resolved
from tunesmith.storage.atomic import barred, replace_folder
from tunesmith.storage.run_folder import RunFolder
from tunesmith.suites import suites_of
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

# With base and tuned model, so that no blend is chosen where one of these is better.
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
COPIED = ("ledger.json", "dropped.jsonl", "plan.txt", "record.jsonl")
"""What a proof and the report read of the run that is blended."""
CANDIDATE, KEPT = "candidate", "scoring.jsonl"
"""The blend that is being asked, and what the blends before it said."""


@dataclass(frozen=True)
class Wanted:
    """What a person asks of one blend; None and nothing leave it to the run."""

    alphas: Sequence[float] = ALPHAS
    """Where the curve is measured; its ends are always among them."""
    alpha: float | None = None
    """The point that is written, without measuring any."""
    items: int | None = None
    suites: Sequence[str | Mapping[str, object]] = ()


@dataclass(frozen=True)
class Blended:
    """A blended run and the curve that it was chosen from."""

    folder: RunFolder
    found: JsonObject

    def lines(self) -> list[str]:
        """Returns the curve and the choice as lines for a person."""
        return [*blend_lines(self.found), "", say("blend.next", folder=self.folder.path)]

    def to_json(self) -> JsonObject:
        """Returns every number."""
        return {"folder": str(self.folder.path), **self.found}


def blend(folder: RunFolder, out: Path, wanted: Wanted, events: Events) -> Blended:
    """Writes the run folder ``out`` with the blend that was asked for, or chosen; raises SpecError
    for a run that has none, DataError where it has no validation rows to choose by.

    Until it is whole it lies beside ``out``, where the same call goes on after an interruption.
    """
    problems = [*_problems(folder, wanted), *_out_problems(out)]
    if problems:
        raise SpecError(problems)
    work = RunFolder(out.with_name(f".{out.name}.blending"))
    with work.held():
        _begin(folder, work, out)
        write = _Writer.of(folder, work)
        if wanted.alpha is None:
            facts = _measured(folder, work, write, wanted, events)
        else:
            facts = {"of": str(folder.path), "alpha": wanted.alpha, "points": [], "asked": {}}
        write(facts["alpha"], "model")
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        work.blend.write_text(text, encoding="utf-8")
        if facts["points"]:
            write_page(facts, work.path / "blend.html")
        for name in (CANDIDATE, KEPT, ".lock"):
            _remove(work.path / name)
    if out.is_dir():
        out.rmdir()
    os.replace(work.path, out)
    return Blended(RunFolder(out), facts)


@dataclass(frozen=True)
class _Writer:
    """A writer of the model of ``folder`` at an alpha into ``work``."""

    folder: RunFolder
    work: RunFolder
    base: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, folder: RunFolder, work: RunFolder) -> _Writer:
        """Loads what it needs."""
        from tunesmith.models.finding.hub import folder_of

        run = folder.resolved().run
        adapter = (folder.model / "adapter_config.json").is_file()
        return cls(folder, work, base_weights(run, folder_of(run.model), adapter))

    def __call__(self, alpha: float, name: str) -> None:
        """Puts it under ``name``."""

        def draft(place: Path) -> None:
            write_between(self.folder, self.base, alpha, place)

        replace_folder(self.work.path / name, draft)


def _problems(folder: RunFolder, wanted: Wanted) -> list[Problem]:
    run = folder.resolved().run
    problems = []
    if not OBJECTIVES.make(run.objective).output.writes:
        text = say("blend.writes_nothing", objective=run.objective.name)
        problems.append(Problem("objective", text))
    alphas = wanted.alphas if wanted.alpha is None else [wanted.alpha]
    if not all(0 <= alpha <= 1 for alpha in alphas):
        problems.append(Problem("alphas", say("blend.outside", given=", ".join(map(str, alphas)))))
    if not (folder.model / "tunesmith.json").is_file():
        return [*problems, Problem(str(folder.model), say("export.no_model", run=folder.path))]
    return problems + refused(folder)


def _out_problems(out: Path) -> list[Problem]:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return [Problem(str(out), say("export.not_empty"))]
    wrong = barred(out)
    return [Problem(str(out), wrong)] if wrong else []


def _begin(folder: RunFolder, work: RunFolder, out: Path) -> None:
    """Makes the folder a run like the one that is blended."""
    run = folder.resolved().run.model_copy(update={"out": str(out)})
    work.begin(Resolved(run))
    for name in COPIED:
        if (folder.path / name).is_file():
            shutil.copyfile(folder.path / name, work.path / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _measured(
    folder: RunFolder, work: RunFolder, write: _Writer, wanted: Wanted, events: Events
) -> JsonObject:
    """Measures the curve and chooses a point of it."""
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.models.saved import load_run

    run = folder.resolved().run
    usual = () if run.prove.suites else ("probe",)
    # The other half is left for a proof, which asks nothing that has chosen.
    suites = [
        (suite, questions[::2])
        for suite, questions in asked_suites(suites_of(wanted.suites or usual, run))
    ]
    prepared = prepared_again(folder, run, load_tokenizer(folder.model), events)
    if not prepared.choosing:
        raise DataError(Problem("data.held_out", say("blend.no_rows")))
    items = evenly(prepared.watch, wanted.items or run.prove.items)
    kept = Kept(work.path / KEPT)
    asked = Asked(run, prepared, items, suites, kept, weights_in(folder.model), events)
    measured = []
    for alpha in sorted({0.0, *wanted.alphas, 1.0}):
        write(alpha, CANDIDATE)
        measured.append(asked.of(alpha, load_run(RunFolder(work.path, CANDIDATE))))
    made = points(measured, suites, seed=run.train.seed)
    primary = measured[0]["primary"]
    return {
        "of": str(folder.path),
        "primary": primary,
        "items": len(items),
        "alpha": chosen(made, primary)["alpha"],
        "points": made,
        "asked": {
            suite.title: [question.id for question in questions] for suite, questions in suites
        },
    }
