"""Family, a folder of plug-ins: the file's name is the plug-in's name; a file is imported only when
named.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BeforeValidator, ValidationError, create_model
from pydantic_core import PydanticCustomError

from tunesmith.errors import FAULTS, SpecError
from tunesmith.settings.peer_names import NAMES_HERE
from tunesmith.settings.spec import Spec, closest
from tunesmith.words import say


def entries(group: str) -> list[EntryPoint]:
    """Returns the plug-ins that installed packages announce in a group."""
    return [entry for entry in _announced() if entry.group == group]


@cache
def _announced() -> list[EntryPoint]:
    """Returns what installed packages announce to tunesmith, the first found of a name; looking
    through the packages takes 10 to 30 ms.
    """
    first: dict[tuple[str, str], EntryPoint] = {}
    for package in distributions():
        for entry in package.entry_points:
            if entry.group.startswith("tunesmith."):
                first.setdefault((entry.group, entry.name), entry)
    return list(first.values())


class Family:
    """A folder of plug-ins of one kind, for instance ``Family("method", "tunesmith.methods")``."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._classes: dict[str, type] = {}
        self._file: Path | None = None
        """The file outside the package that is being run, after which its class is named."""

    def register(self, cls: type) -> type:
        """Registers a class under its file's name and gives its ``Config`` that name; a class
        decorator.
        """
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
        """Returns the names of all plug-ins, by file name, without importing them; those of other
        packages included.
        """
        spec = importlib.util.find_spec(self.package)
        assert spec is not None and spec.submodule_search_locations, f"no package {self.package}"
        in_folder = {
            path.stem
            for folder in spec.submodule_search_locations
            for path in Path(folder).glob("*.py")
            if not path.stem.startswith("_")
        }
        outside = {entry.name for entry in entries(f"tunesmith.{self.kind}s")}
        return sorted(in_folder | outside | set(self._classes))

    def get(self, name: str) -> Any:
        """Returns the class registered under ``name``, or in the file ``./name.py``; raises
        SpecError with a suggestion if there is none.
        """
        if name.endswith(".py"):
            return self._from_file(Path(name).resolve())
        if name not in self._classes:
            names = self.names()
            if name not in names:
                hint = self.hint(name)
                raise SpecError(
                    say(
                        "spec.unknown_name",
                        kind=self.called,
                        name=repr(name),
                        told=hint,
                        known=", ".join(names),
                    )
                )
            outside = {entry.name: entry for entry in entries(f"tunesmith.{self.kind}s")}
            if name in outside:
                self._classes[name] = outside[name].load()
            else:
                importlib.import_module(f"{self.package}.{name}")
        assert name in self._classes, (
            f"{self.package}.{name} registers no {self.kind} of its own name"
        )
        return self._classes[name]

    def hint(self, name: str) -> str:
        """Suggests what an unknown name may mean: what peers call so, or one that is similar."""
        return self._as_setting(name.lower()) or closest(name, self.names()) or say("spec.no_hint")

    def _as_setting(self, name: str) -> str:
        """Suggests the setting whose value this name is, as rslora is of lora's variant, or our
        name for what peers call a plug-in.
        """
        names_here = NAMES_HERE.get(self.kind, {})
        if names_here.get(name, "").startswith("peers."):
            return say(names_here[name])
        meant = [names_here[name]] if name in names_here else []
        for plug_in in self.names():
            cls = self.get(plug_in)
            fields = [] if getattr(cls, "of", "") else list(cls.Config.model_fields.items())
            of_it = [
                key
                for key, info in fields
                if get_origin(info.annotation) is Literal and name in get_args(info.annotation)
            ]
            meant += [f"{self.kind}={plug_in} {self.kind}.{key}={name}" for key in of_it]
        return say("spec.did_you_mean", name=say("spec.or_mean").join(meant)) if meant else ""

    @property
    def called(self) -> str:
        """The name of this kind of plug-in in the current language."""
        return say(f"spec.kind_{self.kind}")

    def _from_file(self, path: Path) -> Any:
        # Named by its whole path: ``./sft.py`` is not the sft of the package, and run.yaml finds it
        # again from anywhere.
        name = str(path)
        if name in self._classes:
            return self._classes[name]
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise SpecError(say("spec.no_plugin_file", kind=self.called, name=repr(name)))
        self._file = path
        # dataclasses and the help look a class's module up by name
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except FAULTS as error:
            del sys.modules[name]
            raise SpecError(
                say("spec.broken_plugin_file", kind=self.called, name=repr(name), error=repr(error))
            ) from None
        finally:
            self._file = None
        if name not in self._classes:
            decorator = f"@{self.kind.upper()}S.register"
            raise SpecError(
                say(
                    "spec.empty_plugin_file", kind=self.called, name=repr(name), decorator=decorator
                )
            )
        return self._classes[name]

    def config(self, value: object, default: str | None = None) -> Any:
        """Validates a ``Config`` from a name, a mapping with ``name``, or a Config; a mapping
        without one means ``default``.
        """
        if isinstance(value, Spec):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and default is not None:
            value = {"name": default, **value}
        if not isinstance(value, Mapping) or "name" not in value:
            raise PydanticCustomError(
                "choice",
                "{text}",
                {"text": say("spec.not_a_choice", kind=self.called, value=repr(value))},
            )
        settings = dict(value)
        try:
            cls = self.get(str(settings["name"]))
        except SpecError as error:
            raise PydanticCustomError("choice", "{text}", {"text": str(error)}) from None
        try:
            return cls.Config.model_validate(settings | {"name": cls.name})
        except ValidationError as error:
            # pydantic would flatten the inner error to one line; it is unfolded again in
            # ``problems_of``.
            raise PydanticCustomError(
                "nested", "{text}", {"text": str(error), "nested": error, "spec": cls.Config}
            ) from None

    def make(self, config: Any) -> Any:
        """Makes the plug-in that a validated Config describes."""
        return self._classes[config.name](config)


def choice(family: Family, default: str | None = None) -> Any:
    """Makes the field type for a plug-in of ``family``: a name, or a mapping with its settings, of
    ``default`` where it gives no name.
    """
    return Annotated[Any, BeforeValidator(lambda value: family.config(value, default))]


def choices(family: Family) -> Any:
    """Makes the field type for several plug-ins of ``family`` in their order: one or a list of
    them.
    """
    return Annotated[
        tuple[choice(family), ...],  # type: ignore[valid-type]
        BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,)),
    ]


METHODS = Family("method", "tunesmith.methods")


OBJECTIVES = Family("objective", "tunesmith.objectives")


READERS = Family("reader", "tunesmith.data.readers")


METRICS = Family("metric", "tunesmith.metrics")


OPTIMIZERS = Family("optimizer", "tunesmith.training.optimizers")


SCHEDULES = Family("schedule", "tunesmith.training.schedules")


TRACKERS = Family("tracker", "tunesmith.training.trackers")


SOURCES = Family("source", "tunesmith.training.sources")


ROLES = Family("role", "tunesmith.models.roles")


OUTPUTS = Family("output", "tunesmith.outputs")


REWARDS = Family("reward", "tunesmith.rewards")


TRANSFORMS = Family("transform", "tunesmith.data.transforms")


SUITES = Family("suite", "tunesmith.suites")


FORMATS = Family("format", "tunesmith.export.formats")


PRUNERS = Family("pruner", "tunesmith.pruning.pruners")


CLUSTERS = Family("cluster", "tunesmith.launching.clusters")


ENGINES = Family("engine", "tunesmith.searches.engines")


PLACES = Family("place", "tunesmith.searches.places")


def method_has(method: str | Mapping[str, Any], path: str) -> bool:
    """Tells whether a path lies outside the method, or is one of this method's own settings; of a
    method that there is not, any may be.
    """
    name = method if isinstance(method, str) else method["name"]
    if not path.startswith("method.") or path == "method.name" or name not in METHODS.names():
        return True
    return path.split(".")[1] in METHODS.get(name).Config.model_fields
