"""Dotted overrides: ``train.epochs=1`` laid over the settings of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.errors import Problem, SpecError
from tunesmith.spec import read_yaml
from tunesmith.words import say


def with_overrides(settings: Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Settings with dotted overrides laid over them: ``train.epochs=1``, ``method=ia3``.

    A name given for a group that was a mapping replaces it; a dotted path into a name (``method: lora``
    with ``method.rank=4``) opens it to ``{name: lora, rank: 4}``.
    """
    merged = {key: _copy(value) for key, value in settings.items()}
    pairs = overrides.items() if isinstance(overrides, Mapping) else [_pair(text) for text in overrides]
    for path, value in pairs:
        *parents, last = path.split(".")
        group: dict[str, Any] = merged
        for depth, key in enumerate(parents):
            inner = group.get(key)
            if isinstance(inner, list):
                raise SpecError(Problem(path, say("spec.through_list")))
            if not isinstance(inner, dict):
                short = "path" if depth == 0 and key in ("model", "data") else "name"
                group[key] = inner = {} if inner is None else {short: inner}
            group = inner
        group[last] = value
    return merged


def _copy(value: Any) -> Any:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _pair(text: str) -> tuple[str, Any]:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise SpecError(Problem(text, say("spec.not_a_setting")))
    return path, read_yaml(value, where=path) if value else ""
