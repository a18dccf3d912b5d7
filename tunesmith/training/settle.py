"""The values that a run leaves open, filled in with their origin; on resume those that the run was started with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.methods import METHODS
from tunesmith.run import Origin, Resolved, Run
from tunesmith.spec import OBJECTIVES, Spec
from tunesmith.training.optimizers import OPTIMIZERS
from tunesmith.training.steps import batch_size
from tunesmith.words import say

Derived = Mapping[str, tuple[Any, str]]

OPEN = (None, "auto")


def fill(resolved: Resolved, derived: Derived) -> Resolved:
    """``resolved`` with each value of ``derived`` (by dotted path: value and reason) put where the run left it open."""
    run, origins = resolved.run, dict(resolved.origins)
    for path, (value, reason) in derived.items():
        if _at(run, path) in OPEN:
            run = _with(run, path.split("."), value)
            origins[path] = Origin("derived", reason)
    return Resolved(run, origins)


def from_rows(run: Run, rows: int) -> Derived:
    """What follows from the method and the number of training rows."""
    return {
        "train.batch": (batch_size(rows, run.train.epochs), say("train.batch", rows=rows)),
        "train.learning_rate": default_rate(run),
    }


def default_rate(run: Run) -> tuple[float, str]:
    """The method's own learning rate times the optimizer's factor, and where they come from."""
    method, factor = METHODS.make(run.method), OPTIMIZERS.get(run.train.optimizer.name).rate_factor
    reason = "plan.reason_learning_rate" if method.source else "plan.reason_learning_rate_bare"
    text = say(reason, method=run.method.name, source=method.source)
    if factor != 1:
        text += say("plan.reason_rate_factor", factor=f"{factor:g}", optimizer=run.train.optimizer.name)
    slower = OBJECTIVES.get(run.objective.name).rate_factor
    if slower != 1:
        text += say("plan.reason_rate_objective", factor=f"{slower:g}", objective=run.objective.name)
    return float(f"{method.learning_rate * factor * slower:.6g}"), text


def started_with(run: Run) -> Derived:
    """The values that a run in its folder used, for a continuation that leaves them open."""
    paths = ("train.batch", "train.learning_rate", "train.micro_tokens", "train.machine.threads")
    paths += ("train.machine.precision", "train.machine.device", "train.machine.checkpointing")
    return {path: (_at(run, path), say("train.as_started")) for path in paths}


def _at(run: Any, path: str) -> Any:
    for key in path.split("."):
        run = dict(run)[key]
    return run


def _with(group: Any, path: list[str], value: Any) -> Any:
    key, *rest = path
    inner: Spec = dict(group)[key]
    return group.model_copy(update={key: _with(inner, rest, value) if rest else value})
