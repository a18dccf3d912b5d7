"""Help for a setting, a group of settings or a family of plug-ins, from the classes that define
them: pages as data, which ``cli.show_explain`` prints.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tunesmith import words
from tunesmith.errors import Problem, SpecError
from tunesmith.settings.families import ALIASES, FAMILIES, UNDER_OTHER_NAMES
from tunesmith.settings.family import METHODS, METRICS, OPTIMIZERS, Family
from tunesmith.settings.peer_names import name_here
from tunesmith.settings.problems import group_of
from tunesmith.settings.run import Run
from tunesmith.settings.spec import Spec, closest
from tunesmith.words import say

_BOUNDS = {Gt: "gt", Ge: "ge", Lt: "lt", Le: "le"}


@dataclass(frozen=True)
class Value:
    """What a setting may be, in words; its default is None where a value must be given, and "-"
    where it is left open.
    """

    type: str
    default: str | None


@dataclass(frozen=True)
class Entry:
    """A setting or plug-in in the list of a page."""

    path: str
    help: str
    value: Value | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class HelpPage:
    """The help for one thing: all settings (``start``), a setting, a group of settings, a plug-in
    or a family of plug-ins. ``facts`` are those of its kind, such as a method's learning rate.
    """

    kind: Literal["start", "setting", "group", "plug_in", "family"]
    path: str
    help: str
    value: Value | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    entries: tuple[Entry, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the page for programs."""
        return dataclasses.asdict(self)


def explain(path: str = "") -> list[HelpPage]:
    """Returns the help for ``path``, several pages where it names several things; raises SpecError
    with a suggestion where there is no such setting.
    """
    path = path.replace("=", ".")  # as it is written when it is set
    listed = ALIASES.get(path, path)
    if not path:
        return [HelpPage("start", "", "", entries=_group(Run, ""))]
    if listed in FAMILIES:
        a_setting = path in FAMILIES and path not in UNDER_OTHER_NAMES
        return [*([setting_page(path)] if a_setting else []), _family(listed)]
    for family_name, family in FAMILIES.items():
        if listed.startswith(f"{family_name}."):
            rest = listed.removeprefix(f"{family_name}.")
            return _pages(_owners(family_name, family, rest)) or [
                _plug_in(family_name, family, rest)
            ]
    return _pages([] if path in Run.model_fields else _meant(path)) or [setting_page(path)]


def _pages(paths: list[str]) -> list[HelpPage]:
    return [page for path in paths for page in explain(path)]


def _owners(place: str, family: Family, field: str) -> list[str]:
    """Finds the plug-ins that a setting like ``objective.threshold`` belongs to, where no default
    plug-in has it; returns its paths, without those of presets.
    """
    if field in family.names() or _default_config(place, field):
        return []
    paths = [
        f"{place}.{name}.{field}"
        for name in family.names()
        if field in family.get(name).Config.model_fields
    ]
    return [path for path in paths if _home(path) == path]


def _meant(name: str) -> list[str]:
    """Returns the plug-ins of this name, or else the settings whose path ends with it."""
    plug_ins = [
        f"{family_name}.{name}"
        for family_name, family in FAMILIES.items()
        if name in family.names()
    ]
    default = [
        f"{family_name}.{name}" for family_name in FAMILIES if _default_config(family_name, name)
    ]
    return plug_ins or [path for path in every_setting() if path.endswith(f".{name}")] or default


def every_setting() -> Iterator[str]:
    """Yields every dotted path of a run, groups included, without the plug-ins' own settings."""
    yield from _paths(Run, "")


def _paths(group: type[BaseModel], path: str) -> Iterator[str]:
    for name, field in group.model_fields.items():
        here = f"{path}.{name}" if path else name
        yield here
        inner = group_of(field.annotation)
        if inner is not None:
            yield from _paths(inner, here)


def table(group: type[Spec], path: str) -> Iterator[tuple[str, str, str, str]]:
    """Yields each setting of ``group`` and of the groups inside it: its path, its allowed values,
    its default, its help.
    """
    for name, field in group.model_fields.items():
        here = f"{path}.{name}" if path else name
        described = _described(group, name)
        kinds, default = _kind_and_default(field, family=here in FAMILIES)
        inner = group_of(field.annotation)
        kinds = say("explain.mapping") if inner is not None else kinds
        yield here, kinds, default, help_text(here, described)
        if inner is not None:
            yield from table(inner, here)


def first_sentence(path: str, run: Run) -> str:
    """Returns the first sentence of the help of a setting of ``run``."""
    group: Any = run
    key = described = ""
    for part in path.split("."):
        if part == "name":
            return ""  # a plug-in's name says what it is
        key = f"{key}.{group.name}.{part}" if key in FAMILIES else f"{key}.{part}".lstrip(".")
        described = type(group).help_of(part)
        group = group.values(part)[part]
    return re.split(r"(?<=\w[.])\s|。", help_text(key, described).split("\n")[0])[0].rstrip(".。")


def help_text(key: str, described: str) -> str:
    """Returns the help at ``key`` in the current language, a paragraph a line; a plug-in from
    outside has only its own.
    """
    text = words.translated(f"help.{_home(key)}", "").replace("``", "")
    paragraphs = inspect.cleandoc(described).replace("``", "").split("\n\n")
    return text or "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _described(group: type[Spec], name: str) -> str:
    """Returns the docstring of a setting, of a group of settings that of its class."""
    inner = group_of(group.model_fields[name].annotation)
    return group.help_of(name) or (inner or Spec).__doc__ or ""


def _home(key: str) -> str:
    """Returns the key of a method setting's help: a preset's is with the method that it is a preset
    of.
    """
    family, _, rest = key.partition(".")
    name, dot, setting = rest.rpartition(".")
    of = METHODS.get(name).of if family == "method" and dot and name in METHODS.names() else ""
    return f"method.{of}.{setting}" if of else key


def setting_page(path: str) -> HelpPage:
    """Returns the help for one setting of a run, whatever else has its name; raises SpecError where
    there is none.
    """
    group: type[Spec] = Run
    field: FieldInfo | None = None
    described = ""
    done: list[str] = []
    for part in path.split("."):
        if part not in group.model_fields:
            where = ".".join([*done, part])
            names = list(group.model_fields)
            hint = closest(part, names) or say("spec.known_here", known=", ".join(names))
            raise SpecError(Problem(where, name_here(where) or say("spec.extra", told=hint)))
        done.append(part)
        field = group.model_fields[part]
        described = _described(group, part)
        group = group_of(field.annotation) or Spec
    assert field is not None, "a path has at least one part"
    text = help_text(path, described)
    if group is not Spec and group.model_fields:
        return HelpPage("group", path, text, entries=_group(group, path))
    value = _value(field, family=path in FAMILIES)
    return HelpPage("setting", path, text, value, _told_by_plug_ins(path))


def _told_by_plug_ins(path: str) -> dict[str, Any]:
    """Returns what plug-ins say of a setting: its allowed values, or its value when left open."""
    if path == "train.keep.best_by":
        return {"one_of": ["loss", *METRICS.names()]}
    if path != "train.learning_rate":
        return {}
    methods = [(name, METHODS.get(name)) for name in METHODS.names()]
    factors = [(name, OPTIMIZERS.get(name).rate_factor) for name in OPTIMIZERS.names()]
    rates = {
        name: {
            "learning_rate": method.learning_rate,
            "source": words.translated(f"rates.{name}", method.source),
        }
        for name, method in methods
    }
    return {
        "rates": rates,
        "factors": {name: factor for name, factor in factors if factor != 1},
    }


def _value(field: FieldInfo, family: bool = False) -> Value:
    kinds, default = _kind_and_default(field, family)
    return Value(kinds, default or None)


def _kind_and_default(field: FieldInfo, family: bool) -> tuple[str, str]:
    """Returns the allowed values and the default: "" where a value must be given, "-" where it is
    left open.
    """
    kinds = say("explain.plug_in") if family else _kind(field.annotation, list(field.metadata))
    if field.is_required():
        return kinds, ""
    default = field.get_default(call_default_factory=True)
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return kinds, "-" if shown in ("None", "") else shown


def _kind(annotation: Any, metadata: list[Any]) -> str:
    """Describes a type in words: the choices of a Literal, the bounds of a number, the parts of a
    union.
    """
    marks = ((mark, _BOUNDS[type(mark)]) for mark in metadata if type(mark) in _BOUNDS)
    bounds = [
        say(f"explain.{name}", value=f"{dataclasses.asdict(mark)[name]:,}") for mark, name in marks
    ]
    origin = get_origin(annotation)
    inner = get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0], [*inner[1:], *metadata])
    if origin is Literal:
        return say("explain.one_of", values=", ".join(str(value) for value in inner))
    if origin in (Union, types.UnionType):
        return say("explain.or").join(
            _kind(part, []) for part in inner if part is not type(None)
        ) + "".join(bounds)
    if origin in (list, tuple):
        return say("explain.list_of", type=_kind(inner[0], []))
    if isinstance(annotation, type) and annotation.__name__ in ("int", "float", "str", "bool"):
        return say(f"explain.{annotation.__name__}") + "".join(bounds)
    return say("explain.mapping")


def _group(group: type[Spec], path: str) -> tuple[Entry, ...]:
    entries = []
    for name, info in group.model_fields.items():
        here = f"{path}.{name}" if path else name
        inner = group_of(info.annotation)
        text = help_text(here, _described(group, name))
        value = _value(info, family=here in FAMILIES) if inner is None else None
        entries.append(Entry(here, text, value))
    return tuple(entries)


def _family(place: str) -> HelpPage:
    family = FAMILIES[place]
    entries = []
    for name in family.names():
        cls = family.get(name)
        text = help_text(f"{place}.{name}", cls.__doc__ or "")
        entries.append(Entry(f"{place}.{name}", text, facts=_facts(place, cls)))
    return HelpPage("family", place, family.called, entries=tuple(entries))


def _facts(place: str, cls: Any) -> dict[str, Any]:
    """Returns what a plug-in says of itself beside its help and its settings."""
    if place == "method":
        rate_facts = {"learning_rate": cls.learning_rate, "source": cls.source}
        return rate_facts | {"search": list(cls.search)}
    if place == "metric":
        return {"higher_is_better": cls.higher}
    return {"columns": columns_of(cls)} if place == "reader" else {}


def columns_of(reader: Any) -> dict[str, str]:
    """Returns what the columns of a reader hold, by their names here."""
    meanings = reader.fields.items()
    return {name: words.translated(f"columns.{text}", text) for name, text in meanings}


def _plug_in(place: str, family: Family, rest: str) -> HelpPage:
    name, _, key = rest.partition(".")
    config = None if name in family.names() else _default_config(place, name)
    if config is not None:  # ``method.rank``: a setting of the default plug-in
        name, key = config, rest
    cls = family.get(name)
    fields = {field: info for field, info in cls.Config.model_fields.items() if field != "name"}
    here = f"{place}.{name}"
    if key:
        if key not in fields:
            hint = closest(key, list(fields)) or say("spec.known_here", known=", ".join(fields))
            raise SpecError(Problem(f"{here}.{key}", say("spec.extra", told=hint)))
        text = help_text(f"{here}.{key}", cls.Config.help_of(key))
        return HelpPage("setting", f"{here}.{key}", text, _value(fields[key]))
    entries = tuple(
        Entry(f"{here}.{key}", help_text(f"{here}.{key}", cls.Config.help_of(key)), _value(info))
        for key, info in fields.items()
    )
    text = help_text(here, cls.__doc__ or "")
    return HelpPage("plug_in", here, text, facts=_facts(place, cls), entries=entries)


def _default_config(place: str, field: str) -> str | None:
    """Returns the default plug-in at ``place``, if it has a setting of this name."""
    info: FieldInfo | None = None
    group: type[BaseModel] = Run
    for part in place.split("."):
        info = group.model_fields.get(part)
        group = (group_of(info.annotation) if info else None) or Spec
    name = info.default if info is not None else None
    if not isinstance(name, str):
        return None
    return name if field in FAMILIES[place].get(name).Config.model_fields else None
