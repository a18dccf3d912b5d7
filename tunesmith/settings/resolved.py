"""The settings that a run uses, each with its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from tunesmith.settings.run import Run
from tunesmith.settings.spec import Spec


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: given, default, or derived, and the reason."""

    kind: Literal["given", "default", "derived"]
    reason: str = ""


@dataclass(frozen=True)
class Resolved:
    """A Run without open values. ``origins`` is keyed by dotted path."""

    run: Run
    origins: dict[str, Origin] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """The run's folder."""
        return Path(self.run.out)

    def dump(self) -> str:
        """Writes run.yaml: every value used; derived ones and defaults say so in a comment."""
        lines: list[str] = []
        for line, path in _yaml_lines(self.run.model_dump(mode="json")):
            origin = self.origins.get(path)
            if origin and origin.kind != "given":
                line += f"  # {origin.kind}{': ' + origin.reason if origin.reason else ''}"
            lines.append(line)
        return "\n".join(lines) + "\n"


def origins_of(value: Spec, path: str = "", given: bool = True) -> dict[str, Origin]:
    """Returns where each value of a group comes from, by dotted path; a value inside a group that
    was not given is a default.
    """
    origins: dict[str, Origin] = {}
    for name, item in value:
        here = f"{path}.{name}" if path else name
        set_here = given and name in value.model_fields_set
        if isinstance(item, Spec):
            origins |= origins_of(item, here, set_here)
        origins[here] = Origin("given" if set_here else "default")
    return origins


def _yaml_lines(
    value: Mapping[str, object], path: str = "", indent: int = 0
) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for key, item in sorted(
        value.items(), key=lambda pair: pair[0] != "name"
    ):  # a plug-in's name before its settings
        here = f"{path}.{key}" if path else key
        if isinstance(item, Mapping) and item:
            lines.append((" " * indent + f"{key}:", here))
            lines += _yaml_lines(item, here, indent + 2)
        else:
            text = yaml.safe_dump(
                {key: item}, default_flow_style=True, allow_unicode=True, width=10**9
            ).strip()[1:-1]
            lines.append((" " * indent + text, here))
    return lines
