"""The values that a run leaves open, filled in with their origin; on resume those that the run was
started with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.batches.order import batch_size
from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS
from tunesmith.settings.resolved import Origin, Resolved
from tunesmith.settings.run import Run
from tunesmith.settings.spec import Spec
from tunesmith.words import say

Derived = Mapping[str, tuple[Any, str]]

OPEN = (None, "auto")


def fill(resolved: Resolved, derived: Derived) -> Resolved:
    """``resolved`` with each value of ``derived`` (by dotted path: value and reason) put where the
    run left it open.
    """
    run, origins = resolved.run, dict(resolved.origins)
    for path, (value, reason) in derived.items():
        if _at(run, path) in OPEN:
            run = with_value(run, path.split("."), value)
            origins[path] = Origin("derived", reason)
    return Resolved(run, origins)


def with_preset(resolved: Resolved) -> Resolved:
    """``resolved`` with what its method, where that is a preset, gives to settings that the run
    does not name.
    """
    run, origins = resolved.run, dict(resolved.origins)
    for path, text in METHODS.make(run.method).fills.items():
        *groups, key = path.split(".")
        group = _at(run, ".".join(groups))
        named = {
            name: value for name, value in dict(group).items() if name in group.model_fields_set
        }
        if key in named and _given(run, groups):
            continue
        value = dict(type(group).model_validate(named | {key: text}))[key]
        run = with_value(run, path.split("."), value)
        origin = Origin("derived", say("plan.reason_preset", method=run.method.name))
        inner = [f"{path}.{name}" for name in dict(value)] if isinstance(value, Spec) else []
        origins |= dict.fromkeys([path, *inner], origin)
    return Resolved(run, origins)


def _given(run: Run, groups: list[str]) -> bool:
    """Whether the run names every one of these groups, each inside the one before."""
    at: Any = run
    for name in groups:
        if name not in at.model_fields_set:
            return False
        at = dict(at)[name]
    return True


def from_rows(run: Run, rows: int) -> Derived:
    """What follows from the method and the number of training rows."""
    return {
        "train.batch": (batch_size(rows, run.train.epochs), say("train.batch", rows=rows)),
        "train.learning_rate": default_rate(run),
        "train.keep.final": final_weights(run),
    }


def default_rate(run: Run) -> tuple[float, str]:
    """The method's own learning rate times the optimizer's factor, and where they come from."""
    method, factor = METHODS.make(run.method), OPTIMIZERS.get(run.train.optimizer.name).rate_factor
    reason = "plan.reason_learning_rate" if method.source else "plan.reason_learning_rate_bare"
    text = say(reason, method=run.method.name, source=method.source)
    if factor != 1:
        text += say(
            "plan.reason_rate_factor", factor=f"{factor:g}", optimizer=run.train.optimizer.name
        )
    objective = OBJECTIVES.get(run.objective.name)
    if objective.rate_factor != 1:
        why = (
            "plan.reason_rate_classes"
            if objective.head == "classes"
            else "plan.reason_rate_objective"
        )
        text += say(why, factor=f"{objective.rate_factor:g}", objective=run.objective.name)
    return float(f"{method.learning_rate * factor * objective.rate_factor:.6g}"), text


def final_weights(run: Run) -> tuple[str, str]:
    """Which weights the run leaves as its model where it does not say, and why."""
    keep = run.train.keep
    if keep.evaluate and (keep.patience or "best_by" in keep.model_fields_set):
        return "best", say("plan.reason_final_best", best_by=keep.best_by)
    return "last", say("plan.reason_final_last")


def started_with(run: Run) -> Derived:
    """The values that a run in its folder used, for a continuation that leaves them open."""
    paths = ("train.batch", "train.learning_rate", "train.micro_tokens", "train.machine.threads")
    paths += ("train.machine.precision", "train.machine.device", "train.machine.checkpointing")
    return {path: (_at(run, path), say("train.as_started")) for path in paths}


def _at(run: Any, path: str) -> Any:
    for key in path.split("."):
        run = dict(run)[key]
    return run


def with_value(group: Any, path: list[str], value: Any) -> Any:
    """``group`` with another value at ``path``."""
    key, *rest = path
    inner: Spec = dict(group)[key]
    return group.model_copy(update={key: with_value(inner, rest, value) if rest else value})
