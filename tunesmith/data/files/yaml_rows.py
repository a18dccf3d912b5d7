"""Rows written as YAML: read as the JSON that says the same, so that all that is known of JSON
files holds for them. A value is the text that was written: ``no``, ``12:30`` and ``007`` stay so.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import yaml

from tunesmith.data.files import xml_rows
from tunesmith.data.files.decoding import open_text
from tunesmith.data.files.jsonrows import kind_of
from tunesmith.data.files.paths import on_disk
from tunesmith.errors import DataError, Problem
from tunesmith.settings.yaml_faults import fault
from tunesmith.words import say

ENDINGS = (".yaml", ".yml")
NOTHING = ("", "~", "null", "Null", "NULL")
"""What YAML calls nothing, where it stands without quotes."""
_Loader = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader


@contextmanager
def open_rows(path: Path, encoding: str, *, newline: str | None = None) -> Iterator[TextIO]:
    """Opens a file of rows as text, YAML and XML as JSON; raises DataError for what is neither."""
    with open_text(path, encoding, newline=newline) as stream:
        if is_yaml(path):
            yield io.StringIO(_as_json(stream.read(), path))
        elif _ends(path, xml_rows.ENDINGS):
            yield io.StringIO(xml_rows.as_json(stream.read(), path))
        else:
            yield stream


def is_yaml(path: Path) -> bool:
    """Tells whether the file is one of YAML, by its name."""
    return _ends(path, ENDINGS)


def written_in(path: Path) -> str | None:
    """Names the form that a file is written in where it is read as JSON: yaml or xml."""
    if is_yaml(path):
        return "yaml"
    return "xml" if _ends(path, xml_rows.ENDINGS) else None


def _ends(path: Path, endings: tuple[str, ...]) -> bool:
    return on_disk(path)[0].name.lower().removesuffix(".gz").endswith(endings)


def _as_json(text: str, path: Path) -> str:
    """Writes a YAML text as JSON: several documents are a list of them."""
    try:
        documents = [*yaml.compose_all(text, Loader=_Loader)]
        parts = [_written(node, path, set()) for node in documents if _rows(node, path)]
    except yaml.MarkedYAMLError as error:
        line, told = fault(error)
        place = str(path) if line is None else f"{path}:{line}"
        raise DataError(Problem(place, say("spec.not_yaml", problem=told))) from None
    except yaml.YAMLError as error:
        raise DataError(Problem(str(path), say("spec.not_yaml", problem=str(error)))) from None
    except RecursionError:
        raise DataError(Problem(str(path), say("spec.yaml_too_large"))) from None
    return parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"


def _rows(document: yaml.Node, path: Path) -> bool:
    """Tells whether a document holds something; raises DataError for one that is a bare text, or
    the settings of a run.
    """
    if isinstance(document, yaml.MappingNode) and _is_run(document):
        raise DataError(Problem(str(path), say("source.run_file", path=path)))
    if not isinstance(document, yaml.ScalarNode):
        return True
    text = document.value
    if text.strip():
        told = say("source.not_rows", kinds=kind_of(text), seen=_quoted(text[:80]))
        raise DataError(Problem(str(path), told))
    return False


def _is_run(document: yaml.MappingNode) -> bool:
    keys = {key.value for key, _ in document.value if isinstance(key, yaml.ScalarNode)}
    return {"model", "data"} <= keys or {"model", "out"} <= keys


def _written(node: yaml.Node, path: Path, met: set[int]) -> str:
    """Writes a value as JSON; a key that stands twice does so there too, where it is told."""
    if isinstance(node, yaml.ScalarNode):
        plain = not node.style
        return "null" if plain and node.value in NOTHING else _quoted(node.value)
    # Ten lines of aliases can stand for a billion values.
    if id(node) in met:
        line = node.start_mark.line + 1
        raise DataError(Problem(f"{path}:{line}", say("source.yaml_alias")))
    met.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_written(item, path, met) for item in node.value)}]"
    pairs = (
        f"{_quoted(_key(key, path))}: {_written(value, path, met)}" for key, value in node.value
    )
    return f"{{{', '.join(pairs)}}}"


def _key(key: yaml.Node, path: Path) -> str:
    if isinstance(key, yaml.ScalarNode):
        return key.value
    line = key.start_mark.line + 1
    raise DataError(Problem(f"{path}:{line}", say("source.yaml_key")))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
