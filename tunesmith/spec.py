"""Spec, the base of every setting, and Family, a folder of plug-ins; nothing here imports torch.

A Family's file name is the plug-in's name; the file registers one class, and is imported only when named.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticCustomError

from tunesmith.errors import Problem, SpecError


class Spec(BaseModel):
    """A group of settings: immutable, closed to unknown keys, each attribute's docstring is its help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def closest(name: str, known: list[str]) -> str:
    """A did-you-mean clause for ``name``, empty when nothing comes near."""
    match = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


class Family:
    """A folder of plug-ins of one kind, for instance ``Family("method", "tunesmith.methods")``."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._classes: dict[str, type] = {}

    def register(self, cls: type) -> type:
        """Class decorator: names the class after its file and gives its ``Config`` that name."""
        name = cls.__module__.rpartition(".")[2]
        cls.name = name  # type: ignore[attr-defined]
        config = cls.__dict__.get("Config", Spec)
        # The name is a field, so that a resolved run.yaml can be read back as it was written.
        cls.Config = create_model(  # type: ignore[attr-defined]
            f"{cls.__name__}Config", __base__=config, __module__=cls.__module__, name=(Literal[name], name)
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
            return self._from_file(Path(name))
        if name not in self._classes:
            known = self.names()
            if name not in known:
                told = closest(name, known) or ";"
                raise SpecError(f"unknown {self.kind} {name!r}{told} known: {', '.join(known)}")
            outside = {entry.name: entry for entry in self._outside()}
            if name in outside:
                self._classes[name] = outside[name].load()
            else:
                importlib.import_module(f"{self.package}.{name}")
        assert name in self._classes, f"{self.package}.{name} registers no {self.kind} of its own name"
        return self._classes[name]

    def _from_file(self, path: Path) -> Any:
        if path.stem in self._classes:
            return self._classes[path.stem]
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise SpecError(f"{self.kind} {str(path)!r}: there is no such file")
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        if path.stem not in self._classes:
            raise SpecError(f"{self.kind} {str(path)!r} registers no class; put @{self.kind.upper()}S.register above it")
        return self._classes[path.stem]

    def config(self, value: Any) -> Any:
        """A validated ``Config`` from a name, a mapping with ``name``, or a Config."""
        if isinstance(value, Spec):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or "name" not in value:
            raise PydanticCustomError(
                "choice", "{kind} is a name, or a mapping with 'name'; got {value}", {"kind": self.kind, "value": repr(value)}
            )
        settings = dict(value)
        name = str(settings["name"])
        try:
            cls = self.get(name)
            return cls.Config.model_validate(settings | {"name": cls.name})
        except SpecError as error:
            raise PydanticCustomError("choice", "{text}", {"text": str(error)}) from None
        except ValidationError as error:
            # pydantic would flatten the inner error to one line; it is unfolded again in ``problems_of``.
            raise PydanticCustomError("nested", "{text}", {"text": str(error), "nested": error, "spec": cls.Config}) from None

    def make(self, config: Any) -> Any:
        """The plug-in that a validated Config describes."""
        return self._classes[config.name](config)


def choice(family: Family) -> Any:
    """Field type for a plug-in of ``family``: a name, or a mapping with its settings."""
    return Annotated[Any, BeforeValidator(family.config)]


METHODS = Family("method", "tunesmith.methods")
OBJECTIVES = Family("objective", "tunesmith.objectives")
READERS = Family("reader", "tunesmith.data.readers")
METRICS = Family("metric", "tunesmith.evaluate.metrics")
OPTIMIZERS = Family("optimizer", "tunesmith.train.optimizers")
SCHEDULES = Family("schedule", "tunesmith.train.schedules")
TRACKERS = Family("tracker", "tunesmith.train.trackers")


def problems_of(
    error: ValidationError, spec: type[Spec], prefix: tuple[str, ...] = (), hint: Callable[[str], str | None] | None = None
) -> list[Problem]:
    """Every problem of validating ``spec``, plug-ins' own settings unfolded, each at its dotted key path.

    ``hint`` gets the path of an unknown key and may say what it is called here.
    """
    found: list[Problem] = []
    for item in error.errors(include_url=False):
        path = prefix + tuple(str(part) for part in item["loc"])
        where = ".".join(path)
        if item["type"] == "nested":
            found += problems_of(item["ctx"]["nested"], item["ctx"]["spec"], path, hint)
        elif item["type"] == "extra_forbidden":
            told = hint(where) if hint else None
            found.append(Problem(where, told or f"there is no such setting{_near(spec, item['loc'])}"))
        elif item["type"] == "missing":
            found.append(Problem(where, "is required"))
        else:
            seen = "" if item["type"] == "choice" else f"; got {item['input']!r}"
            found.append(Problem(where, item["msg"].removeprefix("Value error, ") + seen))
    return found


def _near(spec: type[Spec], loc: tuple[int | str, ...]) -> str:
    """A did-you-mean for the last part of ``loc``, else the keys that its group has."""
    group: type[Spec] = spec
    for part in loc[:-1]:
        field = group.model_fields.get(str(part))
        if field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, Spec):
            group = field.annotation
    known = [name for name in group.model_fields if name != "name"]
    return closest(str(loc[-1]), known) or (f"; known here: {', '.join(known)}" if known else "; it has no settings")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as people mean it: ``1e-4`` is a number, and a key given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in keys:
                raise SpecError(f"line {key_node.start_mark.line + 1}: the key {key!r} is given twice")
            keys.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml(text: str, where: str = "") -> Any:
    """The value of a YAML text; SpecError with file and line when it does not parse."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SpecError(Problem(f"{where}{line}", f"this is not YAML: {error.problem}")) from None
