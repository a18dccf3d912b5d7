"""Resolves a Run before weights load: every open value with its reason, all problems at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tunesmith.batches.order import FEWEST_STEPS, order_of
from tunesmith.data.asked_reading import look_at_rows
from tunesmith.data.find import find_data, held_part
from tunesmith.data.lengths import default_limit
from tunesmith.data.prepare import Prepared
from tunesmith.data.split import CHOOSES, SMALLEST
from tunesmith.display.table import readable
from tunesmith.errors import Problem, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.planning import memory, processes
from tunesmith.planning.duration import evaluations
from tunesmith.planning.paths import paths, place
from tunesmith.planning.plan import Plan
from tunesmith.planning.rules import broken
from tunesmith.planning.shape import Shape, shape, with_classes
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.settings.open_values import Derived, begun, fill, from_rows, with_value
from tunesmith.settings.resolved import Origin
from tunesmith.settings.run import Run
from tunesmith.training.evaluation.questions import Questions
from tunesmith.training.sources import SOURCES, prepare_with_source
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.machine.device import Device
    from tunesmith.machine.micro_batch import Room

UNLIMITED = 10**9
"""Tokenizers that know no limit say a number above this one."""
Progress = Callable[[str, int, int], None]


class _Making:
    """One run while it is resolved: values replaced, origins noted, problems collected."""

    def __init__(self, run: Run) -> None:
        self.resolved = begun(run)
        self.problems: list[Problem] = []
        self.facts: JsonObject = {}
        self.warnings: list[str] = []

    @property
    def run(self) -> Run:
        """The settings as far as they are settled."""
        return self.resolved.run

    def settle(self, derived: Derived) -> None:
        """Takes the values of one stage for those that are open."""
        self.resolved = fill(self.resolved, derived)

    def put(self, path: str, value: object, reason: str) -> None:
        """Replaces the value at ``path``; one that was given keeps its origin."""
        run = with_value(self.run, path.split("."), value)
        self.resolved = replace(self.resolved, run=run)
        self.explain(path, reason)

    def explain(self, path: str, reason: str) -> None:
        """Sets the reason for the value at ``path``."""
        if self.resolved.origins[path].kind != "given":
            self.resolved.origins[path] = Origin("derived", reason)

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Runs the action and returns its result; None where it failed, with its problems noted."""
        try:
            return action()
        except TunesmithError as error:
            self.problems += error.problems
            return None

    def plan(self, prepared: Prepared | None) -> Plan:
        """Builds the plan from what has been found."""
        return Plan(
            self.resolved,
            prepared,
            self.facts,
            [*dict.fromkeys(self.problems)],
            self.warnings,
        )


def make(
    run: Run,
    *,
    prepared: Prepared | None = None,
    probe: bool = False,
    early: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Makes the plan of ``run``: reads the data unless given, and of the model only config and
    headers; ``probe`` measures, ``early`` ends it at absent rows, before torch is loaded.
    """
    from tunesmith.models.finding import hub
    from tunesmith.models.loading.tokenizer import load_tokenizer

    making = _Making(run)
    making.problems += broken(making.run)
    _places(making)
    run = making.run
    if run.data.too_long is None:
        making.explain("data.too_long", say("plan.reason_too_long"))
    data_is_there = None not in [
        making.attempt(lambda path=path: find_data(path)) for path in paths(run)
    ]
    at_hand = hub.at_hand(run.model)
    if data_is_there and not at_hand:
        # A merge, or a download, takes minutes: what is wrong with the rows is said before.
        data_is_there = making.attempt(lambda: look_at_rows(run)) is not None
    if not data_is_there and (early or not at_hand):
        making.attempt(lambda: hub.refuse_absent(run.model))
        return making.plan(None)
    _parent(making)
    folder = making.attempt(lambda: hub.folder_of(run.model))
    if folder is None:
        return making.plan(None)
    device, form = _machine(making), making.attempt(lambda: shape(folder, making.run))
    options = {"trust_remote_code": run.model.trust_remote_code, "add_tokens": run.model.add_tokens}
    tokenizer = making.attempt(lambda: load_tokenizer(folder, **options))
    if tokenizer is not None:
        _lengths(making, form, tokenizer.model_max_length)
        _roles(making, tokenizer)
        if prepared is None and data_is_there:
            reading = making.run, tokenizer, progress, form.limit if form is not None else None
            prepared = making.attempt(lambda: prepare_with_source(*reading))
    if prepared is not None:
        _rows(making, prepared, device)
        limit = form.limit if form is not None else None
        making.attempt(lambda: SOURCES.make(making.run.source).check(making.run, prepared, limit))
        if not any(problem.where.startswith("questions") for problem in making.problems):
            making.attempt(lambda: Questions.of(making.run, prepared, limit))
        outputs = prepared.objective.outputs
        form = making.attempt(lambda: with_classes(form, folder, making.run, outputs))
    if form is not None and device is not None:
        _room(making, form, device, prepared)
    plan = making.plan(prepared)
    if probe and not plan.problems and prepared is not None and device is not None:
        from tunesmith.planning.trial import probe_run

        probe_run(plan, folder, device)
    return plan


def _places(making: _Making) -> None:
    """Writes local places as whole paths, so that the run's folder can be used from anywhere; holds
    out a held-out part of the data itself where the run does not say what is held out.
    """
    rows = making.run.data.path
    if making.resolved.origins["data.held_out"].kind == "default" and isinstance(rows, str):
        part = making.attempt(lambda: held_part(rows))
        if part is not None:
            making.put("data.held_out", part, say("plan.reason_held_part"))
    run, path = making.run, making.run.data.path
    many = (
        []
        if isinstance(path, str)
        else [source.model_copy(update={"path": place(source.path)}) for source in path]
    )
    values = {
        "model.path": run.model.path,
        "data.path": path,
        "data.held_out": run.data.held_out,
        "questions": run.questions,
    }
    values |= {
        "prove.prompt": run.prove.prompt,
        "source.path": dict(run.source).get("path"),
    }
    folders = OBJECTIVES.make(run.objective).folders()
    values |= {f"objective.{key}": folder for key, folder in folders.items()}
    for name, value in values.items():
        if isinstance(value, str) and value not in ("", "starter"):
            making.put(name, place(value), "")
    if many:
        making.put("data.path", many, "")


def _parent(making: _Making) -> None:
    """Notes the run that this one continues from."""
    from tunesmith.models.finding.parent import parent_of

    parent = parent_of(making.run.model.path)
    if parent is not None:
        making.facts["parent"] = parent.to_json()
        making.warnings += parent.warnings(making.run)


def _machine(making: _Making) -> Device | None:
    """Settles device, precision, threads and the base's type."""
    from tunesmith.machine.device import choose

    device = making.attempt(lambda: choose(making.run.train.machine))
    if device is None:
        return None
    making.settle(from_machine(device))
    making.problems += processes.unfit(making.run, device)
    return device


def _roles(making: _Making, tokenizer: Tokenizer) -> None:
    """Checks the models beside the policy."""
    names = OBJECTIVES.make(making.run.objective).roles
    if not names:
        return
    from tunesmith.models.roles import roles_of

    for role in roles_of(names, making.run):
        making.attempt(lambda role=role: role.check(tokenizer))


def from_machine(device: Device) -> Derived:
    """Returns the values that follow from the machine: device, precision, threads and the type of
    the base.
    """
    values = {
        "train.machine.device": device.place.type,
        "train.machine.precision": device.precision,
        "train.machine.threads": device.threads,
    }
    derived: dict[str, tuple[Any, str]] = {
        path: (value, device.reasons.get(path, "")) for path, value in values.items()
    }
    return derived | {"model.dtype": (device.precision, say("plan.reason_dtype"))}


def from_memory(room: Room) -> Derived:
    """Returns the values that follow from the free memory: the micro-batch, and whether activations
    are kept.
    """
    values = {
        "train.micro_tokens": room.micro_tokens,
        "train.machine.checkpointing": room.checkpointing,
    }
    return {path: (value, room.reasons.get(path, "")) for path, value in values.items()}


def _lengths(making: _Making, form: Shape | None, tokenizer_limit: int) -> None:
    limits = [
        limit
        for limit in (form.limit if form else None, tokenizer_limit)
        if limit is not None and limit < UNLIMITED
    ]
    limit = min(limits, default=None)
    given = making.run.data.max_length
    if given is None:
        by_model = say("plan.reason_max_length", limit=limit)
        reason = by_model if limit else say("plan.reason_max_length_no_limit")
        making.settle({"data.max_length": (default_limit(limit), reason)})
    elif form is not None and form.limit is not None and given > form.limit:
        making.problems.append(
            Problem("data.max_length", say("plan.limit_too_long", value=given, limit=form.limit))
        )


def _rows(making: _Making, prepared: Prepared, device: Device | None) -> None:
    """Settles what follows from the rows: the batch, the steps, the tokens."""
    rows = len(prepared.train)
    source = SOURCES.make(making.run.source)
    if making.run.data.reasoning != prepared.render.data.reasoning:
        making.put("data.reasoning", prepared.render.data.reasoning, say("plan.reason_reasoning"))
    if making.run.data.columns != prepared.render.data.columns:
        making.put("data.columns", prepared.render.data.columns, say("plan.reason_columns"))
    making.settle(from_rows(making.run, rows))
    train = making.run.train
    assert train.batch is not None, "it was settled above"
    world = device.processes.world if device is not None else 1
    count = max(making.run.processes, world)
    making.problems += processes.too_few_rows(making.run, train.batch, count)
    order = order_of(making.run, rows)
    steps = order.total(train.epochs, train.steps)
    lengths = sorted(len(tokens) for item in prepared.train for tokens in item.tokens)
    sides = sorted(tokens.longest for item in prepared.train for tokens in item.tokens)
    p99 = sides[min(len(sides) - 1, int(0.99 * len(sides)))]
    reason = making.resolved.origins["data.max_length"].reason + say(
        "plan.reason_lengths", p99=p99, longest=sides[-1]
    )
    making.explain("data.max_length", reason)
    making.facts |= {
        "rows": {"train": rows, "watch": len(prepared.watch), "proof": len(prepared.proof)},
        "steps": steps,
        "steps_per_epoch": order.steps_per_epoch,
        "tokens": sum(lengths),
        "scored_tokens": sum(tokens.scored for item in prepared.train for tokens in item.tokens),
        "p99_length": p99,
        "longest": source.longest(
            max(
                len(tokens)
                for item in (*prepared.train, *prepared.replayed)
                for tokens in item.tokens
            )
        ),
    }
    _unwatched(making, prepared)
    objective = prepared.objective
    if not objective.samples:
        looks = evaluations(making.run, prepared, steps, order.steps_per_epoch)
        making.facts["evaluations"] = looks
    best, names = making.run.train.keep.best_by, ["loss", *objective.measured()]
    if best in objective.measures and best not in names:
        making.problems.append(
            Problem(
                "train.keep.best_by", say("embed.best_by", value=repr(best), known=", ".join(names))
            )
        )
    making.attempt(lambda: objective.output.task(making.run, prepared))
    if steps < FEWEST_STEPS:
        making.warnings.append(
            say(
                f"plan.few_{'given' if making.run.train.steps else 'steps'}",
                steps=steps,
                least=FEWEST_STEPS,
            )
        )


def _unwatched(making: _Making, prepared: Prepared) -> None:
    """Turns settings off, with a warning, that choose by watched rows where none are left
    for this.
    """
    keep = making.run.train.keep
    asked = bool(keep.patience) or "best_by" in keep.model_fields_set or keep.final == "best"
    if prepared.choosing or not (prepared.watch or prepared.proof) or not asked:
        return
    few = bool(prepared.watch)
    rows, least = (prepared.watch, CHOOSES) if few else (prepared.proof, SMALLEST)
    fields, kind = {"rows": len(rows), "least": least}, "few_watched" if few else "unwatched"
    reason = say(f"plan.reason_{kind}", **fields)
    making.put("train.keep.final", "last", reason)
    for name in ("best_by", "patience", "final"):
        path = f"train.keep.{name}"
        if making.resolved.origins[path].kind == "given":
            making.resolved.origins[path] = Origin("given", reason)
    making.warnings.append(say(f"plan.warn_{kind}", **fields))


def _room(making: _Making, form: Shape, device: Device, prepared: Prepared | None) -> None:
    """Settles micro-batches, memory and disk."""
    from tunesmith.machine.device import DTYPES
    from tunesmith.machine.memory import GIB
    from tunesmith.machine.micro_batch import room

    run, machine = making.run, making.run.train.machine
    width = 4 if METHODS.make(run.method).full_precision else DTYPES[run.model.dtype].itemsize
    # room() looks at what is left beside loaded weights; here they are not loaded yet.
    free = machine.memory * GIB if machine.memory else processes.free_in_each(run, device)
    world = max(run.processes, device.processes.world)
    parts = memory.Parts.of(run, world)
    both = memory.with_copies(form, run)
    weights = memory.weights_of(both, run, width, parts)
    beside = machine.model_copy(update={"memory": max(free - weights, 1.0) / GIB})
    longest = making.facts.get("longest") or run.data.max_length or default_limit(form.limit)
    fitting = room(
        device,
        beside,
        trainable=both.trainable // parts.trained,
        kept=both.kept,
        longest=longest,
        micro_tokens=run.train.micro_tokens,
    )
    making.settle(from_memory(fitting))
    used = both.kept[bool(fitting.checkpointing)] * (4 if device.precision == "fp32" else 2)
    tokens = fitting.micro_tokens
    if prepared is not None:  # a process never holds more tokens than its rows of a step have
        tokens = min(tokens, longest * processes.most_rows(run, world))
    options = {"width": width, "activation_bytes": used, "parts": parts}
    needed = memory.memory(both, run, tokens=max(tokens, longest), **options)
    itemsize = DTYPES[run.model.dtype].itemsize
    needed = replace(needed, beside=making.attempt(lambda: memory.beside(run, itemsize)) or 0.0)
    disk = memory.disk(form, run)
    making.facts |= {
        "parameters": form.parameters,
        "trainable": form.trainable,
        "disk": disk.to_json(),
        "memory_gib": {
            "low": round(needed.low / GIB, 3),
            "high": round(needed.high / GIB, 3),
            "free": round(free / GIB, 3),
        },
        "memory_terms_gib": {name: round(value / GIB, 4) for name, value in vars(needed).items()},
    }
    if needed.low > free:
        making.warnings.append(say("plan.warn_memory"))
    if disk.needed > disk.free:
        needed_, checkpoint_, free_ = map(readable, (disk.needed, disk.checkpoint, disk.free))
        sizes = {
            "needed": needed_,
            "one": checkpoint_,
            "free": free_,
            "checkpoints": run.train.keep.keep + 1,
        }
        making.problems.append(Problem("out", say("plan.disk", out=run.out, **sizes)))
