"""Spec, the base of every setting, and Family, a folder of plug-ins; nothing here imports torch.

A Family's file name is the plug-in's name; the file registers one class, and is imported only when named.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticCustomError

from tunesmith.errors import FAULTS, Problem, SpecError
from tunesmith.peers import METHODS_HERE
from tunesmith.words import say


class Spec(BaseModel):
    """A group of settings: immutable, closed to unknown keys, each attribute's docstring is its help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def closest(name: str, known: list[str]) -> str:
    """A did-you-mean clause for ``name``, empty when nothing comes near."""
    match = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return say("spec.did_you_mean", name=repr(match[0])) if match else ""


class Family:
    """A folder of plug-ins of one kind, for instance ``Family("method", "tunesmith.methods")``."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._classes: dict[str, type] = {}
        self._file: Path | None = None
        """The file outside the package that is being run, after which its class is named."""

    def register(self, cls: type) -> type:
        """Class decorator: names the class after its file and gives its ``Config`` that name."""
        name = str(self._file) if self._file else cls.__module__.rpartition(".")[2]
        cls.name = name  # type: ignore[attr-defined]
        config = cls.__dict__.get("Config", Spec)
        # The name is a field, so that a resolved run.yaml can be read back as it was written.
        cls.Config = create_model(  # type: ignore[attr-defined]
            f"{cls.__name__}Config",
            __base__=config,
            __module__=cls.__module__,
            name=(Literal[name], name),  # type: ignore[arg-type]
        )
        cls.Config.__doc__ = config.__doc__  # type: ignore[attr-defined]
        self._classes[name] = cls
        return cls

    def names(self) -> list[str]:
        """The plug-ins there are, by file name, without importing them; those of other packages included."""
        spec = importlib.util.find_spec(self.package)
        assert spec is not None and spec.submodule_search_locations, f"no package {self.package}"
        found = {
            path.stem
            for folder in spec.submodule_search_locations
            for path in Path(folder).glob("*.py")
            if not path.stem.startswith("_")
        }
        return sorted(found | {entry.name for entry in self._outside()} | set(self._classes))

    def _outside(self) -> Iterator[Any]:
        return iter(entry_points(group=f"tunesmith.{self.kind}s"))

    def get(self, name: str) -> Any:
        """The class registered under ``name``, or in the file ``./name.py``; SpecError with a suggestion if there is none."""
        if name.endswith(".py"):
            return self._from_file(Path(name).resolve())
        if name not in self._classes:
            known = self.names()
            if name not in known:
                told = self._as_setting(name.lower()) or closest(name, known) or ";"
                raise SpecError(say("spec.unknown_name", kind=self.called, name=repr(name), told=told, known=", ".join(known)))
            outside = {entry.name: entry for entry in self._outside()}
            if name in outside:
                self._classes[name] = outside[name].load()
            else:
                importlib.import_module(f"{self.package}.{name}")
        assert name in self._classes, f"{self.package}.{name} registers no {self.kind} of its own name"
        return self._classes[name]

    def _as_setting(self, name: str) -> str:
        """A did-you-mean for the value of a setting, as rslora is of lora's variant, and for what peers call a plug-in."""
        found = [METHODS_HERE[name]] if self.kind == "method" and name in METHODS_HERE else []
        for plug_in in self.names():
            cls = self.get(plug_in)
            fields = [] if getattr(cls, "of", "") else list(cls.Config.model_fields.items())
            of_it = [key for key, info in fields if get_origin(info.annotation) is Literal and name in get_args(info.annotation)]
            found += [f"{self.kind}={plug_in} {self.kind}.{key}={name}" for key in of_it]
        return say("spec.did_you_mean", name=say("spec.or_mean").join(found)) if found else ""

    @property
    def called(self) -> str:
        """What this kind of plug-in is called in the language in use."""
        return say(f"spec.kind_{self.kind}")

    def _from_file(self, path: Path) -> Any:
        # Named by its whole path: ``./sft.py`` is not the sft of the package, and run.yaml finds it again from anywhere.
        name = str(path)
        if name in self._classes:
            return self._classes[name]
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise SpecError(say("spec.no_plugin_file", kind=self.called, name=repr(name)))
        self._file = path
        try:
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        except FAULTS as error:
            raise SpecError(say("spec.broken_plugin_file", kind=self.called, name=repr(name), error=repr(error))) from None
        finally:
            self._file = None
        if name not in self._classes:
            decorator = f"@{self.kind.upper()}S.register"
            raise SpecError(say("spec.empty_plugin_file", kind=self.called, name=repr(name), decorator=decorator))
        return self._classes[name]

    def config(self, value: Any, default: str | None = None) -> Any:
        """A validated ``Config`` from a name, a mapping with ``name``, or a Config; a mapping without one means ``default``."""
        if isinstance(value, Spec):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and default is not None:
            value = {"name": default, **value}
        if not isinstance(value, Mapping) or "name" not in value:
            raise PydanticCustomError("choice", "{text}", {"text": say("spec.not_a_choice", kind=self.called, value=repr(value))})
        settings = dict(value)
        try:
            cls = self.get(str(settings["name"]))
        except SpecError as error:
            raise PydanticCustomError("choice", "{text}", {"text": str(error)}) from None
        try:
            return cls.Config.model_validate(settings | {"name": cls.name})
        except ValidationError as error:
            # pydantic would flatten the inner error to one line; it is unfolded again in ``problems_of``.
            raise PydanticCustomError("nested", "{text}", {"text": str(error), "nested": error, "spec": cls.Config}) from None

    def make(self, config: Any) -> Any:
        """The plug-in that a validated Config describes."""
        return self._classes[config.name](config)


def choice(family: Family, default: str | None = None) -> Any:
    """Field type for a plug-in of ``family``: a name, or a mapping with its settings, of ``default`` where it gives no name."""
    return Annotated[Any, BeforeValidator(lambda value: family.config(value, default))]


METHODS = Family("method", "tunesmith.methods")
OBJECTIVES = Family("objective", "tunesmith.objectives")
READERS = Family("reader", "tunesmith.data.readers")
METRICS = Family("metric", "tunesmith.evaluate.metrics")
OPTIMIZERS = Family("optimizer", "tunesmith.training.optimizers")
SCHEDULES = Family("schedule", "tunesmith.training.schedules")
TRACKERS = Family("tracker", "tunesmith.training.trackers")


def problems_of(
    error: ValidationError, spec: type[Spec], prefix: tuple[str, ...] = (), hint: Callable[[str], str | None] | None = None
) -> list[Problem]:
    """Every problem of validating ``spec``, plug-ins' own settings unfolded, each at its dotted key path.

    ``hint`` gets the path of an unknown key and may say what it is called here.
    """
    found: dict[str, list[str]] = {}
    seen: dict[str, str] = {}
    for item in error.errors(include_url=False):
        path = prefix + _path(spec, item["loc"])
        where = ".".join(path)
        if item["type"] == "nested":
            context = item.get("ctx", {})
            for problem in problems_of(context["nested"], context["spec"], path, hint):
                found.setdefault(problem.where, []).append(problem.text)
        elif item["type"] == "extra_forbidden":
            told = hint(where) if hint else None
            found.setdefault(where, []).append(told or say("spec.extra", told=_near(spec, item["loc"])))
        else:
            found.setdefault(where, []).append(_text(item, ".".join(part for part in path if not part.isdigit())))
            if item["type"] not in ("missing", "choice"):
                seen[where] = say("spec.got", value=repr(item["input"]))
    # The branches of a union each complain at the same path. A complaint further in is the one that was meant;
    # otherwise one of each kind is given.
    meant = {where for where in found if not any(other.startswith(f"{where}.") for other in found)}
    return [
        Problem(where, say("spec.or").join(dict.fromkeys(texts)) + seen.get(where, ""))
        for where, texts in found.items()
        if where in meant
    ]


def _text(item: Any, setting: str) -> str:
    """What is wrong with one value, in the language in use."""
    context = {name: value for name, value in item.get("ctx", {}).items() if name != "error"}
    try:
        return item["msg"] if item["type"] == "choice" else say(f"spec.{item['type']}", setting=setting, **context)
    except KeyError:  # pydantic has a hundred kinds of error; those that are not in the words keep its English
        return item["msg"].removeprefix("Value error, ")


def group_of(annotation: Any) -> type[Spec] | None:
    """The Spec that a field's annotation holds, whether optional, in a list or annotated; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation
    return next((group for part in get_args(annotation) if (group := group_of(part))), None)


def _path(spec: type[Spec], loc: Sequence[int | str]) -> tuple[str, ...]:
    """The key path of an error; what pydantic adds to it for the branches of a union is left out."""
    group: type[Spec] | None = spec
    path: list[str] = []
    for index, part in enumerate(loc):
        field = group.model_fields.get(str(part)) if group else None
        if field is not None:
            path.append(str(part))
            inner = group_of(field.annotation)
            # A list of groups keeps its group for the index that follows.
            group = inner
        elif isinstance(part, int) or (index == len(loc) - 1 and group is not None and not _is_branch(part)):
            path.append(str(part))
    return tuple(path)


def _is_branch(part: int | str) -> bool:
    return str(part) in {"str", "int", "float", "bool", "list", "tuple", "dict"} or not str(part).replace("_", "").isalnum()


def _near(spec: type[Spec], loc: tuple[int | str, ...]) -> str:
    """A did-you-mean for the last part of ``loc``, else the keys that its group has."""
    group: type[Spec] = spec
    for part in loc[:-1]:
        field = group.model_fields.get(str(part))
        group = (group_of(field.annotation) if field is not None else None) or group
    known = [name for name in group.model_fields if name != "name"]
    return closest(str(loc[-1]), known) or (say("spec.known_here", known=", ".join(known)) if known else say("spec.no_settings"))


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as people mean it: ``1e-4`` is a number, and a key given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # super() refuses it with its place
            key = self.construct_object(key_node, deep=True)
            if key in keys:
                raise SpecError(Problem(f"{self.name}:{key_node.start_mark.line + 1}", say("spec.given_twice", key=repr(key))))
            keys.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml(text: str, where: str = "") -> Any:
    """The value of a YAML text; SpecError with file and line when it does not parse."""
    loader = _Loader(text)
    loader.name = where
    try:
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SpecError(Problem(f"{where}{line}", say("spec.not_yaml", problem=error.problem))) from None
    except yaml.YAMLError as error:
        raise SpecError(Problem(where, say("spec.not_yaml", problem=str(error)))) from None
    finally:
        loader.dispose()


def read_settings(path: str | Path) -> dict[str, Any]:
    """The mapping that a YAML file holds, not yet validated."""
    file = Path(path)
    if not file.is_file():
        raise SpecError(Problem(str(path), say("spec.no_file")))
    try:
        settings = read_yaml(file.read_text(encoding="utf-8-sig"), where=str(path))
    except UnicodeDecodeError:
        raise SpecError(Problem(str(path), say("spec.not_utf8"))) from None
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        raise SpecError(Problem(str(path), say("spec.not_a_mapping", kind=type(settings).__name__)))
    return settings
