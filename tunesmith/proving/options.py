"""The options that the answers come from, scored on the watched rows, where a metric of choices
says which checkpoint is best.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.data.prepare import Prepared
from tunesmith.errors import Problem, SpecError
from tunesmith.metrics import METRICS, Metric
from tunesmith.models.calling.forwards import BrokenOff
from tunesmith.models.loading.load import Loaded
from tunesmith.predicting.likelihoods import likeliest, likelihoods
from tunesmith.proving.task import Task, task_of
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.words import say

AT_ONCE = 16
"""Rows between two looks at whether a signal came."""


def chosen_among_options(run: Run) -> bool:
    """Tells whether the best checkpoint is chosen by which option it finds likeliest."""
    name = run.train.keep.best_by
    measures = OBJECTIVES.make(run.objective).measures
    return name not in measures and name in METRICS.names() and METRICS.get(name).reads == "choice"


def options_task(run: Run, prepared: Prepared) -> Task:
    """Makes a task of the watched rows with the options of the training answers; raises SpecError
    where these are no small set.
    """
    task = task_of(run, prepared, prepared.watch, shots=0)
    if not task.options:
        name = run.train.keep.best_by
        texts = [
            metric_name
            for metric_name in METRICS.names()
            if METRICS.get(metric_name).reads in ("text", "nll")
        ]
        raise SpecError(
            Problem(
                "train.keep.best_by",
                say("train.best_by_options", name=name, known=", ".join(["loss", *texts])),
            )
        )
    return task


def choices_score(
    model: Loaded, metric: Metric, task: Task, *, budget: int, stopped: Callable[[], bool]
) -> float:
    """Computes the metric over the likeliest options; raises BrokenOff when ``stopped`` returned
    true on the way.
    """
    chosen: list[str] = []
    for start in range(0, len(task.items), AT_ONCE):
        if stopped():
            raise BrokenOff
        prompts = task.prompts[start : start + AT_ONCE]
        sequences = [task.answered(prompt) for prompt in prompts]
        chosen += [
            likeliest(row[:, 0], list(task.options))
            for row in likelihoods(model, sequences, budget=budget)
        ]
    return metric.over(chosen, task.references)
