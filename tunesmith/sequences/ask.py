"""Every model of a sequence asked the held-out rows of every task: the model before the first stage
and that of each stage, by the metric that decides the task's own proof.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from tunesmith.data.items import fingerprint
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.plain import JsonObject
from tunesmith.planning.stages import Stage
from tunesmith.predicting.engine import TorchEngine
from tunesmith.proving.contest import prepared_again
from tunesmith.proving.interrupted import Kept, weights_in
from tunesmith.proving.judge import judge, metric
from tunesmith.proving.parity_rows import lines_of, together
from tunesmith.proving.task import evenly
from tunesmith.sequences import matrix
from tunesmith.settings.family import OBJECTIVES
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.models.loading.load import Loaded

BEFORE = "before"
"""The model that the first stage began with."""


def refuse_unasked(stages: Sequence[Stage]) -> None:
    """Raises SpecError, before anything is trained, where a stage has no score of its rows or does
    not go on from the one before it.
    """
    problems = []
    if len(stages) < 2:
        problems.append(Problem("stages", say("sequence.two_stages")))
    for number, stage in enumerate(stages):
        objective = OBJECTIVES.make(stage.run.objective)
        output = objective.output
        if not output.writes or objective.samples or output.compares:
            text = say("sequence.no_score", objective=objective.name)
            problems.append(Problem(f"stages[{number}].objective", text))
        if number and stage.parent != stages[number - 1].name:
            problems.append(Problem(f"stages[{number}].model", say("sequence.no_parent")))
    if problems:
        raise SpecError(problems)


@dataclass(frozen=True)
class Task:
    """The held-out rows of one stage."""

    stage: Stage
    prepared: Prepared
    items: list[Item]

    def lines(self, name: str, loaded: Loaded) -> JsonObject:
        """Asks a model, called ``name``; returns its lines and the metric that decides."""
        output = self.prepared.objective.output
        engines = {name: TorchEngine(loaded)}
        contest = output.measure(self.stage.run, self.prepared, self.items, engines, {})
        assert contest is not None, "a stage without a score was refused"
        return {"lines": lines_of(contest), "primary": contest.primary}


def task_of(stage: Stage, most: int | None, events: Events) -> Task:
    """Reads the rows that a stage held out; raises DataError where it held out none."""
    from tunesmith.models.loading.tokenizer import load_tokenizer

    run, folder = stage.run, stage.folder
    prepared = prepared_again(folder, folder.resolved().run, load_tokenizer(folder.model), events)
    if not prepared.proof:
        raise DataError(Problem(f"{stage.name}: data.held_out", say("prove.no_proof_rows")))
    return Task(stage, prepared, evenly(prepared.proof, most or run.prove.items))


def ask_all(stages: Sequence[Stage], place: Path, most: int | None, events: Events) -> JsonObject:
    """Asks every model every task and returns the numbers; what was asked before an interruption
    is not asked again.
    """
    from tunesmith.models.finding.hub import folder_of
    from tunesmith.models.saved import load_run

    tasks = [task_of(stage, most, events) for stage in stages]
    first = stages[0]
    models: list[tuple[str, str, Callable[[], Loaded]]] = [
        (
            BEFORE,
            weights_in(folder_of(first.run.model)),
            partial(load_run, first.folder, tuned=False),
        )
    ]
    models += [
        (stage.name, weights_in(stage.folder.model), partial(load_run, stage.folder))
        for stage in stages
    ]
    kept = Kept(place / "scoring.jsonl")
    asked = [_asked(name, weights, load, tasks, (kept, events)) for name, weights, load in models]
    numbers = _numbers(stages, [name for name, _, _ in models], asked)
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    (place / "sequence.json").write_text(text, encoding="utf-8")
    kept.done()
    return numbers


def _asked(
    name: str,
    weights: str,
    load: Callable[[], Loaded],
    tasks: Sequence[Task],
    through: tuple[Kept, Events],
) -> list[JsonObject]:
    """Returns what one model makes of each task; it is loaded only where a task is left to ask."""
    kept, events = through
    loaded: list[Loaded] = []
    answers = []
    for number, task in enumerate(tasks):
        model = say("sequence.before") if name == BEFORE else say("sequence.after", stage=name)
        events.phase(say("sequence.phase", model=model), number, len(tasks))

        def ask(task: Task = task) -> JsonObject:
            if not loaded:
                loaded.append(load())
            return task.lines(name, loaded[0])

        answers.append(kept.value(f"{name} {weights} {fingerprint(task.items)}", ask))
    return answers


def _numbers(
    stages: Sequence[Stage], names: Sequence[str], asked: Sequence[Sequence[JsonObject]]
) -> JsonObject:
    """Returns the matrix, and what follows from it; means over tasks only where these have one
    metric.
    """
    metrics = [answer["primary"] for answer in asked[0]]
    signs = [1 if metric(name).higher else -1 for name in metrics]
    seed = stages[0].run.train.seed
    scores = [
        [_score(answer, name, seed) for answer in row]
        for name, row in zip(names, asked, strict=True)
    ]
    changes = []
    for task in range(len(stages) - 1):
        after, name = asked[task + 1][task], names[task + 1]
        changes.append(_change(after, asked[-1][task], (name, names[-1]), seed))
    facts: JsonObject = {
        "tasks": [stage.name for stage in stages],
        "models": list(names),
        "metrics": metrics,
        "items": [len(answer["lines"]) for answer in asked[0]],
        "scores": scores,
        "kept": matrix.corrected(changes),
        "forgotten": matrix.forgotten(scores, signs),
    }
    if len(set(metrics)) == 1:
        facts |= {
            "average": matrix.average(scores),
            "backward_transfer": fmean(matrix.backward(scores, signs)),
            "forward_transfer": fmean(matrix.forward(scores, signs)),
            "forgetting": fmean(matrix.forgotten(scores, signs)),
        }
    return facts


def _score(one: JsonObject, name: str, seed: int) -> float:
    judged = judge(one["lines"], [one["primary"]], seed=seed, judged=name)
    return judged["contenders"][name][one["primary"]]


def _change(then: JsonObject, now: JsonObject, names: tuple[str, str], seed: int) -> JsonObject:
    """Compares a task at the end with the same just after its own stage, paired."""
    primary, (before, after) = then["primary"], names
    lines = together([then["lines"], now["lines"]])
    compared = judge(lines, [primary], seed=seed, judged=after)["differences"][before][primary]
    return {name: compared[name] for name in ("difference", "low", "high", "p_zero", "verdict")}
