"""One trial: a share of the run's training with other values, which any process can begin or go on
with.
"""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console

from tunesmith.data.prepare import Prepared
from tunesmith.events.stream import Events
from tunesmith.models.saved import load_run
from tunesmith.plain import JsonObject
from tunesmith.planning.make import make
from tunesmith.planning.plan import Plan
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.searches.engines import Trial
from tunesmith.searches.folder import Training
from tunesmith.searches.places import AtHand
from tunesmith.searches.spaces import with_values
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.start import train
from tunesmith.trials.files import put
from tunesmith.trials.forked import PATIENCE
from tunesmith.trials.general import general_data, general_rows
from tunesmith.trials.training import Titled, part_of, taken


@dataclass(frozen=True)
class Job:
    """What a process must know to train a trial."""

    settings: JsonObject
    """The run as it was given."""
    machine: JsonObject
    """What the trial has of the machine; what ``settings`` say of that goes before."""
    training: Training
    trial: Trial
    general: str | None = None
    """The file of general rows that its model is asked at the end."""

    def plan(self, prepared: Prepared | None) -> Plan:
        """Plans it whole."""
        run = validate({**self.settings, "out": str(self.training.path)})
        given = run.train.machine
        free = {
            name: value
            for name, value in self.machine.items()
            if name == "memory" or name not in given.model_fields_set
        }
        train_ = run.train.model_copy(update={"machine": given.model_copy(update=free)})
        tried = with_values(run.model_copy(update={"train": train_}), self.trial.values)
        return make(tried, prepared=prepared)

    def shortened(self, plan: Plan) -> Resolved:
        """Cuts its plan to its share of the whole training, evaluated once, at the end."""
        shorter = part_of(plan.resolved.run.train, plan.facts["steps"], self.trial.share)
        if self.trial.share < 1:
            steps = shorter.steps or plan.facts["steps"]
            once = {"evaluate": float(steps), "patience": 0, "final": "last"}
            keep = shorter.keep.model_copy(update=once)
            shorter = shorter.model_copy(update={"keep": keep})
        run = plan.resolved.run.model_copy(update={"train": shorter, "questions": (), "track": ()})
        return replace(plan.resolved, run=run)


def train_trial(job: Job, title: str, several: bool, at_hand: AtHand | None) -> None:
    """Trains a trial to its end, or goes on with it, and notes what the validation rows say. Of
    ``several`` at a time each tells lines and none has a bar.
    """
    began = time.monotonic()
    run = job.training.run
    # Another machine may not have noticed yet that the process which had it is gone.
    while run.busy and time.monotonic() - began < PATIENCE:
        time.sleep(1)
    resume = run.run_yaml.is_file()
    prepared = at_hand.prepared if at_hand is not None else None
    if resume:
        resolved = run.resolved()
    else:
        plan = job.plan(prepared).require()
        resolved = job.shortened(plan)
        prepared = plan.prepared
    console = Console(stderr=True, force_terminal=False) if several else None
    with Titled(title, console) as shown:
        train(
            resolved,
            prepared,
            resume=resume,
            events=Events(shown.hear),
            loaded=at_hand.base.of(resolved) if at_hand is not None else None,
        )
    lines = run.steps()
    watch = next(line["evaluation"] for line in reversed(lines) if "evaluation" in line)
    spent = {"seconds_in_all": round(time.monotonic() - began, 3)}
    general = None if job.general is None else _general_loss(run, job.general)
    general_facts = {} if general is None or not math.isfinite(general) else {"general": general}
    put(job.training.done, {"watch": watch, **taken(lines), **spent, **general_facts})
    # The trial is over, and nothing will be continued.
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def _general_loss(run: RunFolder, path: str) -> float:
    """Computes the loss per token (nats) of general texts with the trained model."""
    loaded = load_run(run)
    rows = likelihoods(loaded, general_rows(general_data(path), loaded.tokenizer))
    total, weight = np.concatenate(rows).sum(0)
    return float(total / weight)
