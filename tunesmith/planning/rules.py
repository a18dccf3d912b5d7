"""Rules across settings, one function each; every one of them needs nothing but the settings and
the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.models.structure.kinds import HEADS
from tunesmith.models.structure.quantize import missing_package
from tunesmith.proving.grading import graders_work
from tunesmith.settings.family import METHODS, METRICS, OBJECTIVES, OPTIMIZERS, READERS
from tunesmith.settings.run import SLOT, Run
from tunesmith.settings.spec import closest
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.trackers import missing_packages
from tunesmith.words import say


def empty_folder(run: Run) -> Iterator[Problem]:
    """Requires that the run's folder is new, or holds no run."""
    RunFolder(Path(run.out)).refuse_taken()
    yield from ()


def known_names(run: Run) -> Iterator[Problem]:
    """Requires that the named metrics and readers exist."""
    metrics = METRICS.names()
    objective = OBJECTIVES.make(run.objective)
    names = list(dict.fromkeys(["loss", *objective.measures, *metrics]))
    if run.train.keep.best_by not in names:
        best = run.train.keep.best_by
        yield _unknown(
            "train.keep.best_by", best, names, closest(best, names) or METRICS.hint(best)
        )
    for index, name in enumerate(run.prove.metrics):
        if isinstance(name, str) and name not in metrics:
            yield _unknown(f"prove.metrics.{index}", name, metrics, METRICS.hint(name))
    primary = run.prove.primary
    allowed = run.prove.named if primary is None else run.prove.named[:-1] or metrics
    if primary is not None and primary not in allowed:
        hint = "" if run.prove.metrics else METRICS.hint(primary)
        yield _unknown("prove.primary", primary, allowed, hint)
    for where, reader in _readers(run):
        if reader is not None and reader not in READERS.names():
            yield _unknown(where, reader, READERS.names())


def _readers(run: Run) -> Iterator[tuple[str, str | None]]:
    yield "data.reader", run.data.reader
    for index, source in enumerate(run.data.sources):
        yield f"data.path.{index}.reader", source.reader


def _unknown(where: str, name: str, known: list[str], hint: str = "") -> Problem:
    return Problem(
        where,
        say(
            "plan.unknown",
            name=repr(name),
            told=hint or closest(name, known) or say("spec.no_hint"),
            known=", ".join(known),
        ),
    )


def base_fits(run: Run) -> Iterator[Problem]:
    """Requires that the method trains on this kind of base, and that what quantised weights or
    optimizers need is installed.
    """
    method = METHODS.make(run.method)
    kind = run.model.quantize
    if (kind or "plain") not in method.bases:
        kinds = ", ".join(sorted(method.bases))
        text = say(
            "quantize.refused" if kind else "quantize.needed",
            method=run.method.name,
            kind=kind,
            kinds=kinds,
        )
        yield Problem("model.quantize", text)
    if kind:
        yield from missing_package("model.quantize")
    if run.model.add_tokens and not method.new_tokens:
        yield Problem("model.add_tokens", say("tokens.untrained", method=run.method.name))
    if len(set(run.model.add_tokens)) < len(run.model.add_tokens) or "" in run.model.add_tokens:
        yield Problem("model.add_tokens", say("tokens.not_apart"))
    if OPTIMIZERS.get(run.train.optimizer.name).eight_bit:
        yield from missing_package("train.optimizer")


def shard_fits(run: Run) -> Iterator[Problem]:
    """Requires, where weights are divided over processes, that everything the run does takes
    divided weights.
    """
    shard = run.train.machine.shard
    if shard == "none":
        return
    if shard == "tensor":
        yield from _parts_fit(run)
        return
    method = METHODS.make(run.method)
    objective = OBJECTIVES.make(run.objective)
    optimizer = run.train.optimizer.name
    if run.model.quantize == "int8":
        yield Problem("model.quantize", say("plan.shard_int8"))
    if objective.samples:
        yield Problem("objective", say("plan.shard_samples", objective=run.objective.name))
    # The Fisher information is of the base's weights, the distance of those that are trained.
    if "fisher" in objective.roles or ("start" in objective.roles and not method.adapter):
        yield Problem("objective", say("plan.shard_distance", objective=run.objective.name))
    if not method.adapter and not OPTIMIZERS.get(optimizer).divides:
        yield Problem("train.optimizer", say("plan.shard_optimizer", optimizer=optimizer))
    if "reference" in objective.roles and method.adapter and method.rewrites_base:
        fields = {"objective": run.objective.name, "method": run.method.name}
        yield Problem("method", say("plan.shard_reference", **fields))


def _parts_fit(run: Run) -> Iterator[Problem]:
    """Requires what transformers' plan divides: a model that writes, from plain weights, under a
    method and an optimizer that move its parts.
    """
    method = METHODS.make(run.method)
    objective = OBJECTIVES.make(run.objective)
    if run.model.quantize or run.model.add_tokens:
        name = "quantize" if run.model.quantize else "add_tokens"
        yield Problem(f"model.{name}", say("plan.parts_plain"))
    sums = {"fisher", "start"} & {*objective.roles}
    if objective.samples or sums or not objective.output.writes:
        yield Problem("objective", say("plan.parts_objective", objective=run.objective.name))
    if not method.by_parts:
        yield Problem("method", say("plan.parts_method", method=run.method.name))
    if not OPTIMIZERS.get(run.train.optimizer.name).by_parts:
        text = say("plan.parts_optimizer", optimizer=run.train.optimizer.name)
        yield Problem("train.optimizer", text)


def schedule_fits(run: Run) -> Iterator[Problem]:
    """Cycles belong to the one schedule that has them, and warm-up is shorter than the run."""
    train = run.train
    if train.cycles > 1 and train.schedule.name != "cosine_with_restarts":
        yield Problem(
            "train.cycles", say("plan.cycles", value=train.cycles, schedule=train.schedule.name)
        )
    if train.steps is not None and train.warmup >= 1 and train.warmup >= train.steps:
        yield Problem(
            "train.warmup", say("plan.warmup", warmup=f"{train.warmup:g}", steps=train.steps)
        )


def watched(run: Run) -> Iterator[Problem]:
    """Requires held-out rows, and a measure, where a setting decides by them."""
    keep = run.train.keep
    nothing = run.data.held_out == 0
    if keep.patience and (nothing or keep.evaluate == 0):
        yield Problem("train.keep.patience", say("plan.patience"))
    if keep.best_by != "loss" and (nothing or keep.evaluate == 0):
        yield Problem("train.keep.best_by", say("plan.best_by", value=repr(keep.best_by)))
    fitted = OBJECTIVES.make(run.objective).fits(run.objective)
    if fitted and nothing:
        yield Problem(fitted, say("plan.fitted"))
    if run.prove.require and nothing:
        yield Problem("prove.require", say("plan.require", value=repr(run.prove.require)))


def objective_fits(run: Run) -> Iterator[Problem]:
    """Refuses settings of the data that have no meaning for what the model gives."""
    given = run.data.model_fields_set
    objective = OBJECTIVES.make(run.objective)
    output = objective.output
    values = run.data.model_dump()
    fields = {"objective": objective.name}
    if output.compares and run.data.train_on == "everything":
        yield Problem("data.train_on", say("plan.not_everything", **fields))
    for name in output.unused:
        if name in given and values[name] != type(run.data).model_fields[name].default:
            yield Problem(f"data.{name}", say(output.not_used, **fields))
    if run.data.too_long == "split" and not output.continues:
        yield Problem("data.too_long", say("ledger.split_chat"))


def source_fits(run: Run) -> Iterator[Problem]:
    """Requires that answers are sampled for an objective that learns from them, and for no
    other.
    """
    objective = OBJECTIVES.make(run.objective)
    fields = {"objective": objective.name, "source": run.source.name}
    if objective.samples and run.source.name != "rollout":
        yield Problem("source", say("rollout.needed", **fields))
    if not objective.samples and run.source.name == "rollout":
        sampling = ", ".join(name for name in OBJECTIVES.names() if OBJECTIVES.get(name).samples)
        yield Problem("source", say("rollout.not_needed", known=sampling, **fields))


def metric_fits(run: Run) -> Iterator[Problem]:
    """Requires that the measure of the best checkpoint fits what the model gives."""
    best = run.train.keep.best_by
    objective = OBJECTIVES.make(run.objective)
    output, own_measures = objective.output, ["loss", *objective.measures]
    if best in own_measures or best not in METRICS.names():
        return
    able = [name for name in METRICS.names() if METRICS.get(name).reads in output.best_by]
    if best not in able:
        fields = {
            "value": repr(best),
            "known": ", ".join(able or own_measures),
            "objective": objective.name,
        }
        yield Problem("train.keep.best_by", say(output.not_best_by, **fields))


def slots_there(run: Run) -> Iterator[Problem]:
    """Requires as many ``[P]`` in the template as the method has virtual tokens for."""
    slots = METHODS.make(run.method).slots
    count = (run.data.template or "").count(SLOT)
    if slots != count:
        where, key = (
            ("method.tokens", "plan.slots") if slots else ("data.template", "plan.no_slots")
        )
        yield Problem(where, say(key, slots=slots, found=count))


def answers(run: Run) -> Iterator[Problem]:
    """Requires a temperature for several different answers."""
    if run.generate.samples > 1 and run.generate.temperature == 0:
        yield Problem("generate.samples", say("plan.samples", value=run.generate.samples))
    sampled = OBJECTIVES.make(run.objective).samples  # which refuses it at any temperature
    if run.generate.top_p < 1 and run.generate.temperature == 0 and not sampled:
        yield Problem("generate.top_p", say("plan.top_p", value=run.generate.top_p))


def questions_there(run: Run) -> Iterator[Problem]:
    """Requires that the files of ``questions`` and of a hard prompt exist, and that the model gives
    something that can be read.
    """
    if run.prove.prompt is not None and not Path(run.prove.prompt).is_file():
        yield Problem("prove.prompt", say("plan.no_prompt", value=repr(run.prove.prompt)))
    yield from OBJECTIVES.make(run.objective).output.refused(run)
    if isinstance(run.questions, str) and run.questions and not Path(run.questions).is_file():
        yield Problem("questions", say("plan.no_questions", value=repr(run.questions)))
    for number, question in enumerate(() if isinstance(run.questions, str) else run.questions):
        if isinstance(question, str) and not question.strip():
            yield Problem(f"questions.{number}", say("plan.empty_question"))


def trackers_there(run: Run) -> Iterator[Problem]:
    """Requires that the packages of the trackers are installed."""
    yield from missing_packages(run.track)


def model_fits(run: Run, kind: str) -> Iterator[Problem]:
    """Requires that method and objective can take a model of this kind: a decoder, an encoder, or
    both together.
    """
    method = METHODS.make(run.method)
    head = OBJECTIVES.make(run.objective).head
    if kind not in HEADS[head].kinds:
        yield Problem(
            "model", say(f"heads.not_{head}", kind=say(f"heads.kind_{kind.replace('-', '_')}"))
        )
        return
    if kind not in method.kinds:
        allowed = ", ".join(say(f"sides.{kind_taken}") for kind_taken in sorted(method.kinds))
        yield Problem(
            "method",
            say("sides.kind", method=run.method.name, kind=say(f"sides.{kind}"), known=allowed),
        )
    if kind == "encoder-decoder" and not OBJECTIVES.make(run.objective).two_sided:
        allowed = ", ".join(name for name in OBJECTIVES.names() if OBJECTIVES.get(name).two_sided)
        yield Problem(
            "objective", say("sides.objective", objective=run.objective.name, known=allowed)
        )


def single_run(run: Run) -> Iterator[Problem]:
    """Refuses, for one run, the settings of several trainings and of a teacher that writes."""
    if run.tournament is not None:
        yield Problem("tournament", say("tournament.not_for_one_run"))
    if run.search is not None:
        yield Problem("search", say("search.not_for_one_run"))
    if run.curve is not None:
        yield Problem("curve", say("curve.not_for_one_run"))
    if run.teacher is not None:
        yield Problem("teacher", say("generate.not_for_one_run"))


RULES: tuple[Callable[[Run], Iterator[Problem]], ...] = (
    empty_folder,
    known_names,
    base_fits,
    shard_fits,
    schedule_fits,
    watched,
    objective_fits,
    source_fits,
    metric_fits,
    slots_there,
    answers,
    questions_there,
    trackers_there,
    graders_work,
    single_run,
)


def broken(run: Run) -> list[Problem]:
    """Returns every rule that ``run`` breaks, and what its objective itself refuses."""
    problems: list[Problem] = []
    for rule in RULES:
        try:
            problems += rule(run)
        except SpecError as error:
            problems += error.problems
    return list(dict.fromkeys(problems))
