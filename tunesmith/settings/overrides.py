"""Dotted overrides: ``train.epochs=1`` laid over the settings of a file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.yaml_file import read_yaml
from tunesmith.words import say


def with_overrides(
    settings: Mapping[str, object], overrides: Sequence[str] | Mapping[str, object]
) -> JsonObject:
    """Lays dotted overrides over settings: ``train.epochs=1``, ``method=ia3``.

    A name given for a group that was a mapping replaces it; a dotted path into a name (``method:
    lora`` with ``method.rank=4``) opens it to ``{name: lora, rank: 4}``, whichever of the two comes
    first. Settings may have dotted keys themselves.
    """
    merged = {key: _copy(value) for key, value in settings.items() if "." not in str(key)}
    pairs = list(
        overrides.items()
        if isinstance(overrides, Mapping)
        else [setting_of(text) for text in overrides]
    )
    pairs.sort(key=lambda pair: pair[0].count("."))
    for path, value in [
        *((key, _copy(value)) for key, value in settings.items() if key not in merged),
        *pairs,
    ]:
        *parents, last = path.split(".")
        group: dict[str, object] = merged
        for depth, key in enumerate(parents):
            inner = group.get(key)
            if isinstance(inner, list) and (depth, key) != (0, "data"):  # a list of files
                whole = ".".join(parents[: depth + 1])
                text = say("spec.through_list", whole=whole, setting=last)
                raise SpecError(Problem(path, text))
            if not isinstance(inner, dict):
                short = "path" if depth == 0 and key in ("model", "data") else "name"
                group[key] = inner = {} if inner is None else {short: inner}
            group = inner
        group[last] = _copy(value)
    return merged


def to_paste(path: str, value: object) -> str:
    """Writes a setting as it is typed after a verb, quoted for the shell, and as a line of a YAML
    file.
    """
    whole = typed(path, value)
    line = f"{path}: {whole.removeprefix(f'{path}=')}"
    return say("spec.to_paste", typed=shlex.quote(whole), line=line)


def typed(path: str, value: object) -> str:
    """Writes a setting as it is typed, ``data.columns={answer: Antwort}``; not quoted for a
    shell.
    """
    if isinstance(value, str) and "\n" in value:
        return f"{path}={json.dumps(value, ensure_ascii=False)}"  # which is YAML too, and one line
    whole = yaml.safe_dump(
        {path: value}, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**9
    )
    return f"{path}={whole.strip()[1:-1].removeprefix(f'{path}: ')}"


# Settings that are one plain text are taken as it is typed: a template is seldom YAML.
PROSE = frozenset({"data.template", "data.system", "objective.split_labels"})
NAMES = frozenset(
    {
        *("model.path", "model.revision", "data.reader", "data.split_by"),
        *("train.keep.best_by", "prove.primary", "out", "questions", "teacher.name"),
    }
)


def _copy(value: object) -> Any:
    return (
        {key: _copy(item) for key, item in value.items()} if isinstance(value, Mapping) else value
    )


def setting_of(text: str) -> tuple[str, object]:
    """Reads a setting as it is typed: its path and value; raises SpecError for what is none."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise SpecError(Problem(text, say("spec.not_a_setting")))
    if path in PROSE or path in NAMES:
        return path, _literal(path, value)
    return path, read_yaml(value, where=path) if value else ""


def _literal(path: str, value: str) -> Any:
    r"""Reads a text as it was typed, in prose with a new line for a written ``\n``; what is quoted
    or null is YAML.
    """
    bare = value.strip()
    try:
        read = read_yaml(value, where=path)
    except SpecError as error:
        if path == "questions" and bare[:1] == "[":
            (problem,) = error.problems
            text = say("spec.quote_questions", problem=problem.text)
            raise SpecError(Problem(path, text)) from None
        read = ""
    quoted = isinstance(read, str) and bare[:1] in ("'", '"') and bare[-1:] == bare[:1]
    if bare and (read is None or quoted or (path == "questions" and isinstance(read, list))):
        return read
    return value.replace("\\n", "\n") if path in PROSE else bare
