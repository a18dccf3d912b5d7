"""Everything a run needs, made before its folder is touched, and what is told of it first."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from tunesmith.batches.batch import Batch
from tunesmith.batches.order import Order, every, order_of
from tunesmith.data.prepare import Prepared
from tunesmith.data.prepare_once import prepare_once
from tunesmith.errors import DataError, Problem
from tunesmith.events.run import Chosen, Trainable
from tunesmith.events.stream import Events
from tunesmith.machine import device as devices
from tunesmith.machine.device import Device
from tunesmith.machine.sharding import (
    divide,
    divided_again,
    is_divided_model,
    one_by_one,
)
from tunesmith.machine.slices import in_files, read_parts
from tunesmith.methods import METHODS, Method
from tunesmith.models.calling.forwards import batches
from tunesmith.models.calling.routing import Routers
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.finding.parent import parent_of
from tunesmith.models.loading.load import Loaded, forget_plan, load_model, outline
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.roles import Role, as_base, roles_of
from tunesmith.models.structure.kinds import HEADS, load_config
from tunesmith.models.structure.quantize import count
from tunesmith.models.structure.zeros import KeptZeros
from tunesmith.objectives import Objective
from tunesmith.plain import JsonObject
from tunesmith.predicting.classes import FEWEST
from tunesmith.settings.open_values import refuse_open
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.alike import refuse_unlike
from tunesmith.training.evaluation.questions import Questions
from tunesmith.training.evaluation.rows import watched_rows
from tunesmith.training.evaluation.watch import Watch
from tunesmith.training.fisher import Asked, Fisher
from tunesmith.training.fisher import find as fisher_of
from tunesmith.training.keeping.state import base_fingerprint, seed_everything
from tunesmith.training.optimizers import OPTIMIZERS, split_by_rate
from tunesmith.training.reference import Reference, attached, find, with_others
from tunesmith.training.schedules import SCHEDULES, warmup_steps
from tunesmith.training.sources import SOURCES, with_source
from tunesmith.training.work import Work
from tunesmith.words import say


@dataclass
class Ready:
    """All that a run needs, before anything is written."""

    resolved: Resolved
    prepared: Prepared
    work: Work
    watch: Watch
    questions: Questions
    base: Path
    reference: Reference | None = None
    fisher: Fisher | None = None


def make_ready(
    resolved: Resolved, prepared: Prepared | None, events: Events, loaded: Loaded | None = None
) -> Ready:
    """Loads and builds everything; errors come before the run's folder is touched.

    ``resolved`` is a plan's, or that of a folder: SpecError where it leaves a value open. What only
    the loaded model says, the layout of its batches, is settled here. ``loaded`` is the base, if it
    is.
    """
    refuse_open(resolved.run)
    run = resolved.run
    device = devices.choose(run.train.machine)
    devices.prepare(device)
    base = folder_of(run.model)
    prepared = prepared or _rows(run, base, events)
    if not prepared.train:
        raise DataError(Problem("data.path", say("train.no_rows")))
    refuse_unlike(run, prepared, base, device.processes)
    prepared = with_source(run, prepared, events.phase)
    beside = _checked_roles(run, prepared)

    events.phase(say("train.loading"), 0, 1)
    # One base serves several methods; a preset such as qlora takes one of its own.
    fits = loaded is not None and loaded.quantize == run.model.quantize
    objective = prepared.objective_of(run)
    model = loaded if fits and loaded else load_base(base, run, device, objective)
    for role in beside:
        role.load(model.model.dtype, device.place)
    prepared = with_others(objective, prepared)
    reference = None
    is_reference = "reference" in objective.roles
    # Before the method changes the base. A divided base is asked further down, once it is divided:
    # until then it may lie on the CPU.
    if is_reference and not device.divided:
        reference = _reference(resolved, model, prepared, device, base=base, events=events)
    method = _with_method(model, run)
    if device.divided:
        if device.processes.alike:
            forget_plan(model.model)
        elif not is_divided_model(model.model):
            divide(model.model, device, trained_too=not method.adapter)
        with as_base(model.model) if is_reference and method.adapter else nullcontext():
            if is_reference:
                reference = _reference(resolved, model, prepared, device, base=base, events=events)
    if reference is not None:
        prepared = attached(prepared, reference.values)
    events.phase(say("train.loading"), 1, 1)
    work = _work(resolved, prepared, model, method=method, device=device, beside=beside)
    work.events = events
    held = _held(resolved, work, prepared, base) if "fisher" in objective.roles else None
    watch = _watch(work, prepared, beside)
    parent = parent_of(run.model.path)
    if parent:
        events.tell(parent.told())
    _tell_choices(resolved, work)
    _tell_rows(work, watch)
    asked = Questions.of(run, prepared, model.limit)
    return Ready(resolved, prepared, work, watch, asked, base, reference, held)


def _rows(run: Run, base: Path, events: Events) -> Prepared:
    """Reads the rows of a run that is resumed, which has no plan to hand them over."""
    options = {
        "trust_remote_code": run.model.trust_remote_code,
        "add_tokens": run.model.add_tokens,
    }
    return prepare_once(run, load_tokenizer(base, **options), progress=events.phase)


def _with_method(model: Loaded, run: Run) -> Method:
    """Puts the run's method on the loaded model, and settles the layout that both take."""
    # Before the method draws an adapter, and the same on every rank, so that all start from one.
    seed_everything(run.train.seed)
    method = METHODS.make(run.method)
    if model.layout not in method.layouts:
        model.layout = "padded"
        model.reasons["layout"] = say("train.layout_of_method", method=run.method.name)
    model.model = method.apply(model.model)
    if run.train.machine.checkpointing:
        model.model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False}
        )
    return method


def _checked_roles(run: Run, prepared: Prepared) -> list[Role]:
    beside = roles_of(prepared.objective_of(run).roles, run)
    for role in beside:
        role.check(prepared.render.tokenizer)
    return beside


def _reference(
    resolved: Resolved,
    model: Loaded,
    prepared: Prepared,
    device: Device,
    *,
    base: Path,
    events: Events,
) -> Reference:
    """Returns the reference with its log-probabilities of all rows that are trained, watched or
    measured.
    """
    key = {
        "base": base_fingerprint(base),
        "template": prepared.render.fingerprint,
        "data": prepared.all_rows,
        "objective": resolved.run.objective.model_dump_json(),
        "precision": device.precision,
    }
    return find(
        model, prepared, device, path=RunFolder(resolved.out).reference, key=key, events=events
    )


def _held(resolved: Resolved, work: Work, prepared: Prepared, base: Path) -> Fisher:
    """Finds how much each weight counts to which the run is held."""
    run = resolved.run
    start = work.roles["fisher"]
    key = {
        "base": base_fingerprint(base),
        "template": prepared.render.fingerprint,
        "objective": run.objective.model_dump_json(),
        "method": run.method.model_dump_json(),
    }
    asked = Asked(run, work.model, prepared, work.device, work.events)
    fisher = fisher_of(asked, start, path=RunFolder(resolved.out).fisher, key=key)
    on = work.device.place
    start.fisher = {name: value.to(on) for name, value in fisher.values.items()}
    return fisher


def load_base(folder: Path, run: Run, device: Device, objective: Objective) -> Loaded:
    """Loads the model of ``folder`` as the run uses it, under the head of the objective, before a
    method changes it.
    """
    dtype = device.dtype if run.model.dtype == "auto" else devices.DTYPES[run.model.dtype]
    seed_everything(run.train.seed)  # a new head is drawn as it is loaded
    options = run.model.values("trust_remote_code", "quantize", "add_tokens")
    options |= {"head": objective.head, "outputs": objective.outputs}
    # What is divided goes to the GPU part by part.
    on = torch.device("cpu") if device.divided else device.place
    if device.processes.alike:
        options |= {"parts": device.processes.world}
    elif device.divided and _by_parts(folder, run, objective):
        wide = METHODS.make(run.method).full_precision
        part = {"dtype": torch.float32 if wide else dtype, "trained": wide}
        options |= {"fill": lambda model: read_parts(model, folder, device, **part)}
        loaded = load_model(folder, dtype=dtype, device=on, **options)
        divided_again(loaded.model)
        return loaded
    return load_model(folder, dtype=dtype, device=on, **options)


def _by_parts(folder: Path, run: Run, objective: Objective) -> bool:
    """Tells whether the weights of a divided model can be read part by part: plain ones that stand
    in the files as the model names them, under the head that they have.
    """
    if run.model.quantize or run.model.add_tokens or not HEADS[objective.head].own:
        return False
    config = load_config(folder, trust_remote_code=run.model.trust_remote_code)
    model = outline(folder, config, objective.head, trust_remote_code=run.model.trust_remote_code)
    # Some classes keep a few modules in fp32, whatever the type of the others.
    wider = model._keep_in_fp32_modules or model._keep_in_fp32_modules_strict
    return not wider and in_files(model, folder)


def _watch(work: Work, prepared: Prepared, beside: list[Role]) -> Watch:
    """Makes the evaluation. Where the watched rows are those of the proof, or too few, nothing is
    chosen by them.
    """
    keep = work.run.train.keep
    return Watch(
        work.model,
        work.objective,
        watched_rows(prepared),
        work.device,
        prepared.render,
        keep,
        work.run.generate,
        budget=work.micro_tokens,
        task=work.objective.output.task(work.run, prepared),
        only_measured=not prepared.choosing,
        roles=work.roles | _models(beside, work.model, work.method, watched=True),
        measure=work.source.watched if work.objective.samples else None,
        seen=work.source.seen,
    )


def _models(beside: list[Role], policy: Loaded, method: Method, *, watched: bool) -> JsonObject:
    """Returns the models of the roles, by name: those of every step, or those for evaluations
    alone.
    """
    models = {
        role.name: role.model(policy, method) for role in beside if role.only_watched == watched
    }
    return {name: model for name, model in models.items() if model is not None}


def _work(
    resolved: Resolved,
    prepared: Prepared,
    model: Loaded,
    *,
    method: Method,
    device: Device,
    beside: list[Role],
) -> Work:
    run, train_ = resolved.run, resolved.run.train
    roles = _models(beside, model, method, watched=False)
    named = [
        (name, parameter)
        for name, parameter in model.model.named_parameters()
        if parameter.requires_grad
    ]
    factors = {weight: method.rate_factor(name, weight) for name, weight in named}
    for role in beside:
        for name, weight in role.trained():
            named.append((f"{role.name}/{name}", weight))
            factors[weight] = role.rate_factor(name, weight)
    assert train_.learning_rate and train_.micro_tokens, "nothing is open"
    order = order_of(run, len(prepared.train))
    method.study(model.model, _first_batches(prepared, model, order, train_.micro_tokens))
    source = SOURCES.make(run.source)
    source.open(run, prepared, device.processes)
    source.meet(model, prepared.objective_of(run), device)
    method.begin(source.total)
    keep = train_.keep
    optimizer = OPTIMIZERS.make(train_.optimizer).build(
        named, train_.learning_rate, train_.weight_decay
    )
    split_by_rate(optimizer, named, lambda _, weight: factors[weight])
    if device.processes.alike:
        one_by_one(optimizer)
    return Work(
        run=run,
        source=source,
        model=model,
        objective=prepared.objective_of(run),
        method=method,
        routers=Routers(model.model),
        zeros=KeptZeros(model.model),
        device=device,
        named=named,
        optimizer=optimizer,
        schedule=SCHEDULES.make(train_.schedule),
        warmup=warmup_steps(train_.warmup, source.total * source.passes),
        learning_rate=train_.learning_rate,
        micro_tokens=train_.micro_tokens,
        evaluate_every=every(keep.evaluate, source.total, source.steps_per_epoch),
        save_every=every(keep.save, source.total, source.steps_per_epoch),
        roles=roles,
    )


STUDIED = 512
"""Rows of which a method may see the activations before the first step."""


def _first_batches(prepared: Prepared, model: Loaded, order: Order, budget: int) -> list[Batch]:
    """Makes micro-batches of the first rows of the run, the same on every rank."""
    rows = [row for step in range(-(-STUDIED // order.batch)) for row in order.taken(step)][
        :STUDIED
    ]
    examples = [prepared.train[row].tokens for row in dict.fromkeys(rows)]
    return [batch for _, batch in batches(model, examples, budget=budget)]


def _tell_choices(resolved: Resolved, work: Work) -> None:
    """Tells the choices with their reasons, and what is trained."""
    train_ = resolved.run.train
    settings = {
        **{f"train.{name}": value for name, value in train_.model_dump().items()},
        **{f"train.machine.{name}": value for name, value in train_.machine.model_dump().items()},
    }
    for path, value in settings.items():
        origin = resolved.origins.get(path)
        if origin is not None and origin.kind == "derived":
            work.events(Chosen(path, value, origin.reason))
    work.events(Chosen("layout", work.model.layout, work.model.reasons.get("layout", "")))
    if "head" in work.model.reasons:
        work.events.tell(work.model.reasons["head"])
    trained = sum(parameter.numel() for _, parameter in work.named)
    everything = sum(count(parameter) for parameter in work.model.model.parameters())
    work.events(Trainable(trained, everything))


def _tell_rows(work: Work, watch: Watch) -> None:
    """Tells what the source's steps are made of, and what too few watched rows rule out."""
    for text in work.source.told():
        work.events.tell(text)
    asked = work.objective.fits(work.run.objective)
    chosen_by = 0 if watch.only_measured else len(watch.items)
    if asked and chosen_by < FEWEST:
        work.events.tell(say("train.not_fitted", setting=asked, rows=chosen_by, least=FEWEST))
    if not watch.used:
        why = "not_evaluated" if watch.items else "nothing_watched"
        work.events.tell(say(f"train.{why}"))
