"""What may be set from a page: a closed list. A page cannot run code that comes with a model or
lies in a file, name a command, or read a place outside its folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from tunesmith.errors import Problem, SpecError
from tunesmith.settings.family import (
    METHODS,
    METRICS,
    OBJECTIVES,
    OPTIMIZERS,
    READERS,
    REWARDS,
    SCHEDULES,
    TRANSFORMS,
    Family,
)
from tunesmith.settings.overrides import setting_of
from tunesmith.settings.problems import group_of
from tunesmith.settings.run import Run, read_run
from tunesmith.settings.spec import Spec
from tunesmith.ui.composed import REWARDS_HERE, is_list, typed_as
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.ui.places import Places

ALLOWED = (
    *("model.path", "model.revision", "model.dtype", "model.quantize", "model.add_tokens"),
    *("data.path", "data.columns", "data.reader", "data.steps", "data.template", "data.system"),
    *("data.reasoning", "data.special_tokens", "data.unknown", "data.train_on", "data.limit"),
    *("data.held_out", "data.split_by", "data.mix", "data.curriculum", "data.max_length"),
    *("data.too_long", "objective", "method"),
    *("train.epochs", "train.steps", "train.batch", "train.micro_tokens", "train.learning_rate"),
    *("train.weight_decay", "train.optimizer", "train.schedule", "train.warmup", "train.cycles"),
    *("train.clip", "train.seed", "train.machine.precision", "train.machine.device"),
    *("train.machine.checkpointing", "train.machine.memory", "train.machine.threads"),
    *("train.machine.exact", "train.keep.evaluate", "train.keep.save", "train.keep.keep"),
    *("train.keep.best_by", "train.keep.patience", "train.keep.final"),
    *("generate.max_new_tokens", "generate.temperature", "generate.top_p", "generate.stop"),
    *("generate.no_repeat_ngram", "generate.repetition_penalty", "generate.samples"),
    *("prove.items", "prove.shots", "prove.metrics", "prove.primary"),
    *("questions", "source.rewards", "source.weights", "source.samples", "source.max_new_tokens"),
    *("source.temperature", "source.passes", "source.timeout"),
)
PLUG_INS: dict[str, Family] = {
    "objective": OBJECTIVES,
    "method": METHODS,
    "train.optimizer": OPTIMIZERS,
    "train.schedule": SCHEDULES,
}
"""Settings that name a plug-in, whose own numbers and choices may be set too."""
TEXTS = ("objective.labels", "method.targets")
"""Settings of plug-ins that are plain texts."""
NAMES: dict[str, Family] = {**PLUG_INS, "data.reader": READERS}
"""Settings that take the name of a plug-in of the package, and no file."""
MEASURES = ("train.keep.best_by", "prove.primary")
"""Settings that take the name of a metric, or of another measure that a run has."""
PATTERN = ("regex", "pattern")
"""A metric and its setting that is a plain text."""
COMPLETE = ("model=starter", "data=rows.csv", "out=run")
"""Settings that every run has; neither is opened."""
OF_OBJECTIVE = ("objective.teacher", "objective.rows")
"""Settings of objectives that name a model or rows, as those of every run do."""
LOCAL = ("model.path", "data.held_out", *OF_OBJECTIVE)
REVISION = "model.revision"
OF_REWARD = ("run", "json_schema")
"""Settings of rewards that may name a place."""
OF_FILE = ("path", "columns", "reader", "weight")
"""Settings of a file among several."""
OF_COLUMNS = ("columns", "by")
"""Settings of steps that name columns of the rows."""


def may_be_set(path: str) -> bool:
    """Tells whether a page may set this at all."""
    return path in (*ALLOWED, *TEXTS, *OF_OBJECTIVE) or _of_plug_in(path)


def refused(path: str, value: str, places: Places) -> list[Problem]:
    """Returns why a page may not set this to this; whether it is right otherwise is said where
    settings are read.
    """
    if not may_be_set(path):
        return _no_setting(path) or [Problem(path, say("ui_new.forbidden"))]
    if path in PLUG_INS:
        return _plug_in(path, value)
    if path in NAMES:
        return [] if value in NAMES[path].names() else _unknown(path, NAMES[path], value)
    if path in MEASURES:
        return [] if value.isidentifier() else [Problem(path, say("ui_new.forbidden"))]
    if path == "data.steps":
        return _steps(path, value)
    if path == REVISION and _leads_out(value):
        return [Problem(path, say("ui_new.forbidden"))]
    if path in CLOSED:
        return CLOSED[path](path, value, places)
    return _place(path, value, places) if path in LOCAL else []


def closed(annotation: object) -> bool:
    """Tells whether a type takes numbers and named choices alone."""
    if get_origin(annotation) is Literal:
        return True
    inner = get_args(annotation)
    if not inner:
        return annotation in (int, float, bool, type(None))
    # Bounds stand beside the type within Annotated.
    return all(closed(part) for part in inner if isinstance(part, type) or get_args(part))


@cache
def _of_plug_in(path: str) -> bool:
    above, _, key = path.rpartition(".")
    family = PLUG_INS.get(above)
    if family is None:
        return False
    fields = [family.get(name).Config.model_fields.get(key) for name in family.names()]
    annotations = [info.annotation for info in fields if info is not None]
    return key != "name" and bool(annotations) and all(map(closed, annotations))


def _no_setting(path: str) -> list[Problem]:
    """Returns what the resolver says of a path that is no setting, whose value is not looked at;
    nothing where it is one, or may be one of a plug-in.
    """
    group: type[Spec] | None = Run
    # Anything but names might be read as more than a path.
    if not all(part.isidentifier() for part in path.split(".")):
        return []
    for part in path.split("."):
        if group is None or "name" in group.model_fields:
            return []
        if part not in group.model_fields:
            break
        group = group_of(group.model_fields[part].annotation)
    else:
        return []
    try:
        read_run(None, [*COMPLETE, f"{path}=null"])
    except SpecError as error:
        return [problem for problem in error.problems if f"{path}.".startswith(f"{problem.where}.")]
    return []


def _plug_in(path: str, value: str) -> list[Problem]:
    """Returns what is wrong with the name of a plug-in, whose own settings have fields of their
    own. It is read here as it is where settings are read.
    """
    given, problems = _given(path, value)
    if isinstance(given, str):
        is_known = given in PLUG_INS[path].names()
        return [] if is_known else _unknown(path, PLUG_INS[path], given)
    # Only methods may be several, and from a page they are not; a mapping without a name is of the
    # usual one.
    several = given if path == "method" and isinstance(given, list) else [given]
    forbidden = any(isinstance(entry, str | Mapping) for entry in several)
    return [*problems, Problem(path, say("ui_new.forbidden"))] if forbidden else problems


def _chooses(one: object) -> bool:
    """Tells whether a value can choose one of several plug-ins; what cannot is refused where
    settings are read, and nothing is looked up.
    """
    return isinstance(one, str) or (isinstance(one, Mapping) and "name" in one)


def _unknown(path: str, family: Family, name: str) -> list[Problem]:
    """Returns what the resolver says of an unknown name; a file's is not even looked for."""
    if ".py" in name:
        return [Problem(path, say("ui_new.forbidden"))]
    try:
        family.get(name)
    except SpecError as error:
        return [Problem(path, str(error))]
    return []


def _steps(path: str, value: str) -> list[Problem]:
    listed, problems = _listed(path, value)
    for step in filter(_chooses, listed):
        settings = step if isinstance(step, Mapping) else {"name": step}
        name = str(settings.get("name", ""))
        if name not in TRANSFORMS.names():
            return _unknown(path, TRANSFORMS, name)
        fields = TRANSFORMS.get(name).Config.model_fields
        for key in settings:
            field = fields.get(str(key))
            # An unknown one is answered where the settings are read.
            if field is None or key in ("name", *OF_COLUMNS):
                continue
            if not closed(field.annotation) and not _choices(field.annotation):
                return [Problem(f"{path}.{key}", say("ui_new.forbidden"))]
    return problems


def _leads_out(value: str) -> bool:
    """Tells whether a revision is none that a hub has, but a way from its folder in the cache to
    another place.
    """
    given, _ = _given(REVISION, value)
    return ".." in str(given) or "\\" in str(given) or str(given).startswith("/")


def _place(path: str, value: str, places: Places) -> list[Problem]:
    """Returns what is wrong with one place, or with a list where the setting takes one."""
    given, problems = _given(path, value)
    if isinstance(given, str):
        return places.outside(path, given)
    # Of an objective that is not chosen, no list is refused where the settings are read.
    if isinstance(given, Mapping) or (isinstance(given, list) and path in OF_OBJECTIVE):
        return [Problem(path, say("ui_new.one_place"))]
    listed = given if isinstance(given, list) and path not in LOCAL else []
    for number, entry in enumerate(listed):
        settings = entry if isinstance(entry, Mapping) else {"path": entry}
        where = f"{path}.{number}"
        if not isinstance(settings.get("path", ""), str) or not set(settings) <= set(OF_FILE):
            problems.append(Problem(where, say("ui_new.forbidden")))
            continue
        problems += places.outside(where, str(settings.get("path", "")))
        if settings.get("reader") is not None and settings["reader"] not in READERS.names():
            problems += _unknown(where, READERS, str(settings["reader"]))
    return problems


def _questions(path: str, value: str, places: Places) -> list[Problem]:
    """Returns what is wrong with questions: they are texts, or a file in the folder."""
    given, problems = _given(path, value)
    return problems if isinstance(given, list) else _place(path, value, places)


def _rewards(path: str, value: str, places: Places) -> list[Problem]:
    """Returns what is wrong with rewards: none runs code or asks an address, and a model that
    judges, or the file of a schema, lies in the folder; a model may be one of a hub.
    """
    listed, problems = _listed(path, value)
    for number, reward in enumerate(listed):
        if not _chooses(reward):
            continue
        settings = reward if isinstance(reward, Mapping) else {"name": reward}
        name = str(settings.get("name", ""))
        where = f"{path}.{number}"
        if name not in REWARDS_HERE:
            is_known = ".py" in name or name in REWARDS.names()
            forbidden = [Problem(where, say("ui_new.forbidden"))]
            problems += forbidden if is_known else _unknown(where, REWARDS, name)
            continue
        named = {key: settings[key] for key in OF_REWARD if settings.get(key) is not None}
        for key, given in named.items():
            if not isinstance(given, Mapping):  # a schema may be written out
                problems += places.outside(f"{where}.{key}", str(given))
    return problems


def _metrics(path: str, value: str, places: Places) -> list[Problem]:
    """Returns what is wrong with metrics. One that has a text to set may run code, ask an address
    or read a place by it, so that it is taken by its name alone; a pattern does none of these.
    """
    listed, problems = _listed(path, value)
    for number, metric in enumerate(listed):
        if not _chooses(metric):
            continue
        settings = metric if isinstance(metric, Mapping) else {"name": metric}
        name = str(settings.get("name", ""))
        where = f"{path}.{number}" if is_list(value) else path
        if name not in METRICS.names():
            problems += _unknown(where, METRICS, name)
            continue
        fields = METRICS.get(name).Config.model_fields
        texts = [
            key for key in fields if not closed(fields[key].annotation) and (name, key) != PATTERN
        ]
        if texts and set(settings) - {"name"}:
            problems.append(Problem(where, say("ui_new.forbidden")))
    return problems


def _listed(path: str, value: str) -> tuple[list[object], list[Problem]]:
    """Reads a list as it is typed; what is none has one item."""
    given, problems = _given(path, value)
    return (given if isinstance(given, list) else [given]), problems


def _given(path: str, value: str) -> tuple[object, list[Problem]]:
    """Reads a value as the run's settings will read it, so that what is looked at here is what is
    used there.
    """
    try:
        return setting_of(f"{typed_as(path, value)}={value}")[1], []
    except SpecError as error:
        return None, [*error.problems]


CLOSED = {
    "data.path": _place,
    "questions": _questions,
    "source.rewards": _rewards,
    "prove.metrics": _metrics,
}
"""Settings that may be a list, of which each part is looked at."""


def _choices(annotation: object) -> bool:
    """Tells whether a type is a list of named choices."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return all(get_origin(part) is list and closed(get_args(part)[0]) for part in parts)
