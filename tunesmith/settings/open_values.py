"""Settles the values that a run may leave open, stage by stage, each with its reason.

A plan goes through the stages; training and resuming begin where nothing is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.errors import Problem, SpecError
from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS
from tunesmith.settings.resolved import Origin, Resolved, origins_of
from tunesmith.settings.run import SLOT, Run
from tunesmith.settings.spec import Spec
from tunesmith.words import language, say, translated

Derived = Mapping[str, tuple[Any, str]]

OPEN = (None, "auto")

MAY_BE_OPEN = {
    "lang": "run",
    "train.learning_rate": "run",
    "train.keep.final": "run",
    "train.machine.device": "machine",
    "train.machine.precision": "machine",
    "train.machine.threads": "machine",
    "model.dtype": "machine",
    "data.max_length": "model",
    "train.batch": "rows",
    "train.micro_tokens": "memory",
    "train.machine.checkpointing": "memory",
}
"""Every setting that a plan settles, in the order of the stages: by dotted path, what it follows
from.
"""


def begun(run: Run) -> Resolved:
    """Runs the first stage: returns ``run`` with the origin of each value, with what its method
    fills in, and with what follows from the run alone.
    """
    resolved = with_slots(with_preset(Resolved(run, origins_of(run))))
    return with_measure(fill(resolved, from_run(resolved.run)))


def still_open(run: Run) -> list[str]:
    """Returns the paths of the values that a plan would settle and that are still open."""
    return [path for path in MAY_BE_OPEN if value_at(run, path) in OPEN]


def refuse_open(run: Run) -> None:
    """Raises SpecError at each value that is still open."""
    problems = [Problem(path, say("plan.still_open")) for path in still_open(run)]
    if problems:
        raise SpecError(problems)


def fill(resolved: Resolved, derived: Derived) -> Resolved:
    """Puts each value of ``derived`` (by dotted path: value and reason) into ``resolved`` where the
    run left it open.
    """
    run = resolved.run
    origins = dict(resolved.origins)
    for path, (value, reason) in derived.items():
        if value_at(run, path) in OPEN:
            run = with_value(run, path.split("."), value)
            origins[path] = Origin("derived", reason)
    return Resolved(run, origins)


def with_preset(resolved: Resolved) -> Resolved:
    """Fills in, where the method is a preset, what it gives to settings that the run does
    not name.
    """
    run = resolved.run
    origins = dict(resolved.origins)
    for path, text in METHODS.make(run.method).fills.items():
        *groups, key = path.split(".")
        group = value_at(run, ".".join(groups))
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


def with_slots(resolved: Resolved) -> Resolved:
    """Puts the virtual tokens where ``data.template`` has slots, as many as it has, where the
    method can put them there and the run does not say otherwise.
    """
    count = (resolved.run.data.template or "").count(SLOT)
    for path, value in (("method.place", "template"), ("method.tokens", count)):
        open_ = path in resolved.origins and resolved.origins[path].kind == "default"
        placed = path == "method.place" or METHODS.make(resolved.run.method).slots
        if count and open_ and placed:
            origin = Origin("derived", say("plan.reason_slots", found=count))
            run = with_value(resolved.run, path.split("."), value)
            resolved = Resolved(run, {**resolved.origins, path: origin})
    return resolved


def with_measure(resolved: Resolved) -> Resolved:
    """Lets the reward decide which checkpoint is best, where the loss cannot tell and the run names
    no measure.
    """
    run, path = resolved.run, "train.keep.best_by"
    looks = run.train.keep.evaluate != 0 and run.data.held_out != 0
    samples = OBJECTIVES.make(run.objective).samples
    if not (samples and looks and resolved.origins[path].kind == "default"):
        return resolved
    origin = Origin("derived", say("plan.reason_best_by_reward"))
    settled = with_value(run, ["train", "keep", "best_by"], "reward")
    return Resolved(settled, {**resolved.origins, path: origin})


def _given(run: Run, groups: list[str]) -> bool:
    """Tells whether the run names every one of these groups, each inside the one before."""
    at: Any = run
    for name in groups:
        if name not in at.model_fields_set:
            return False
        at = dict(at)[name]
    return True


def from_run(run: Run) -> Derived:
    """Returns the values that follow from the run alone: the method's learning rate, the weights
    that are left, and the language.
    """
    return {
        "train.learning_rate": default_rate(run),
        "train.keep.final": final_weights(run),
        "lang": (language(), say("plan.reason_lang")),
    }


def from_rows(run: Run, rows: int) -> Derived:
    """Returns the values that follow from the number of training rows: how many of them a step
    takes.
    """
    from tunesmith.batches.order import Order, batch_size

    train = run.train
    order = Order(rows, batch_size(rows, train.epochs), train.seed)
    steps = order.total(train.epochs, train.steps)
    fields: dict[str, object] = {"rows": rows, "epochs": f"{train.epochs:g}", "steps": steps}
    if train.steps is None:
        return {"train.batch": (order.batch, say("plan.reason_batch", **fields))}
    fields |= {"full": order.total(train.epochs), "passes": f"{order.epoch(steps):.3g}"}
    return {"train.batch": (order.batch, say("plan.reason_batch_steps", **fields))}


def default_rate(run: Run) -> tuple[float, str]:
    """Returns the method's own learning rate times the optimizer's factor, and where they come
    from.
    """
    method = METHODS.make(run.method)
    factor = OPTIMIZERS.get(run.train.optimizer.name).rate_factor
    reason = "plan.reason_learning_rate" if method.source else "plan.reason_learning_rate_bare"
    source = method.source
    if source == type(method).source:  # several methods at once say theirs themselves
        source = translated(f"rates.{run.method.name}", source)
    text = say(reason, method=run.method.name, source=source)
    if factor != 1:
        text += say(
            "plan.reason_rate_factor", factor=f"{factor:g}", optimizer=run.train.optimizer.name
        )
    objective = OBJECTIVES.make(run.objective)
    if objective.rate_factor != 1:
        text += say(
            objective.rate_reason, factor=f"{objective.rate_factor:g}", objective=run.objective.name
        )
    return float(f"{method.learning_rate * factor * objective.rate_factor:.6g}"), text


def final_weights(run: Run) -> tuple[str, str]:
    """Returns which weights the run leaves as its model where it does not say, and why."""
    keep = run.train.keep
    if keep.evaluate and (keep.patience or "best_by" in keep.model_fields_set):
        return "best", say("plan.reason_final_best", best_by=keep.best_by)
    return "last", say("plan.reason_final_last")


def value_at(run: Run, path: str) -> Any:
    """Returns the value at a dotted path."""
    at: Any = run
    for key in path.split("."):
        at = dict(at)[key]
    return at


def with_value(group: Any, path: list[str], value: object) -> Any:
    """Returns ``group`` with another value at ``path``."""
    key, *rest = path
    inner: Spec = dict(group)[key]
    return group.model_copy(update={key: with_value(inner, rest, value) if rest else value})
