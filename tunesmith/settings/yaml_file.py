"""Reads YAML as people mean it, and names file and line where it does not parse."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml

from tunesmith.errors import Problem, SpecError
from tunesmith.settings.yaml_faults import fault
from tunesmith.words import Said, say


def _as_text(dumper: Any, said: Said) -> yaml.ScalarNode:
    """Writes what ``say`` returned as the text it is."""
    return dumper.represent_str(str(said))


for _dumper in (yaml.Dumper, yaml.SafeDumper):
    _dumper.add_representer(Said, _as_text)


MERGE = "tag:yaml.org,2002:merge"
"""The kind of key with which a mapping takes over another: ``<<: *name``."""
MOST_PARTS = 200_000
"""Values of a document once its aliases are written out: a few lines can say billions."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as people mean it: ``1e-4`` is a number, and a key given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys: set[object] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE:
                continue  # super() refuses the one with its place, and merges at the other
            key = self.construct_object(key_node, deep=True)
            if key in keys:
                raise SpecError(
                    Problem(
                        f"{self.name}:{key_node.start_mark.line + 1}",
                        say("spec.given_twice", key=repr(key)),
                    )
                )
            keys.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str, where: str = "") -> Any:
    """Parses a YAML text; raises SpecError with file and line when this fails."""
    try:
        return _read(text, where)
    except RecursionError:
        raise SpecError(Problem(where, say("spec.yaml_too_large"))) from None
    except yaml.MarkedYAMLError as error:
        line, text = fault(error)
        at = where if line is None else f"{where}:{line}"
        raise SpecError(Problem(at, say("spec.not_yaml", problem=text))) from None
    except (yaml.YAMLError, ValueError) as error:  # no day is 2026-02-31
        raise SpecError(Problem(where, say("spec.not_yaml", problem=str(error)))) from None


def _read(text: str, where: str) -> Any:
    loader = _Loader(text)
    loader.name = where
    node = loader.get_single_node()
    if node is not None and _parts(node, {}) > MOST_PARTS:
        raise SpecError(Problem(where, say("spec.yaml_too_large")))
    return None if node is None else loader.construct_document(node)


def _parts(node: yaml.Node, known: dict[int, int]) -> int:
    """Counts the values below a node with its aliases written out; too many where one is within
    itself.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_PARTS + 1  # what is found here again is within itself
        pairs = (
            node.value if isinstance(node, yaml.MappingNode) else [(item,) for item in node.value]
        )
        known[id(node)] = 1 + sum(_parts(item, known) for pair in pairs for item in pair)
    return known[id(node)]


def absent(path: str | Path) -> SpecError:
    """Describes that a file is not there, with the name beside it that is most like it."""
    file = Path(path)
    beside = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
    alike = difflib.get_close_matches(file.name, beside, n=1)
    near = say("spec.did_you_mean", name=repr(str(file.with_name(alike[0])))) if alike else ""
    return SpecError(Problem(str(path), say("spec.no_file") + near))


def read_settings(path: str | Path) -> dict[str, object]:
    """Reads the mapping in a YAML file, not yet validated; SpecError for a file without any."""
    file = Path(path)
    if not file.is_file():
        raise absent(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SpecError(Problem(str(path), say("spec.not_utf8"))) from None
    settings = settings_in(text, path)
    if not settings:
        raise SpecError(Problem(str(path), say("spec.no_settings_in")))
    return settings


def settings_in(text: str, path: str | Path) -> dict[str, object]:
    """Reads the mapping in the text of the YAML file ``path``, not yet validated."""
    settings = read_yaml(text, where=str(path))
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        raise SpecError(Problem(str(path), say("spec.not_a_mapping", kind=type(settings).__name__)))
    return settings
