"""What a text of a problem or a finding says to set becomes a button."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from tunesmith.errors import SpecError
from tunesmith.settings.family import TRANSFORMS
from tunesmith.settings.overrides import with_overrides
from tunesmith.ui.allowed import may_be_set, refused
from tunesmith.ui.composed import SHORT
from tunesmith.ui.draft import Draft
from tunesmith.ui.goals import GOALS
from tunesmith.ui.places import Places

SETTING = re.compile(
    r"(?<![\w.])([a-z_]+(?:\.[a-z_]+)*)="
    r"(\{[^{}\n]*\}|\[[^\[\]\n]*\]|[\w.\-]+(?![\w.\-<]|[:/][^\s]))"
)
"""A setting within a text, ``data.too_long=drop``; none whose value goes on, ``model=ms:<id>``."""
STEP = re.compile(
    r"tunesmith data (\w+) FILE OUT((?: (?:'\w+=[^'\n]*'|\w+=(?:\[[^\]\n]*\]|[\w.\-]+)))*)"
)
"""A verb that writes changed rows, which can be a step of the run as well."""
MEANT = re.compile(r"\b[A-Z]{2,}\b|…|\.\.\.|<")
"""Where a text leaves something to be filled in."""


def mends(text: str, draft: Draft, places: Places) -> Mapping[str, Mapping[str, str]]:
    """Returns what a text says to set, by how it is typed; only what a page may set, and what is
    not set so already.
    """
    settings: dict[str, Mapping[str, str]] = {}
    usual = GOALS[draft.goal][0]
    before = draft.values.get("data.steps", "")
    steps = [("data.steps", _after(before, step)) for step in _steps(text)]
    for path, value in [*_pasted(text), *_named(text), *steps]:
        long = next((path_ for path_, short in SHORT.items() if short == path), path)
        settable = may_be_set(long) and not MEANT.search(value) and _parses(path, value)
        holds = draft.values.get(long, usual if long == "objective" else None)
        if value and settable and not refused(long, value, places) and holds != value:
            settings.setdefault(f"{path}={value}", {long: value})
    return settings


def _pasted(text: str) -> list[tuple[str, str]]:
    """Returns the settings that stand in a line of their own, quoted for a shell."""
    pairs = []
    for line in text.splitlines():
        try:
            words = shlex.split(line) if line.startswith("    ") else []
        except ValueError:
            continue
        if len(words) == 1 and SETTING.match(words[0]):
            path, _, value = words[0].partition("=")
            pairs.append((path, value))
    return pairs


def _named(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("    ")]
    plain = STEP.sub("", "\n".join(lines))
    return [(path, value.rstrip(".")) for path, value in SETTING.findall(plain)]


def _steps(text: str) -> list[str]:
    """Returns the verbs on rows as steps of the run."""
    steps = []
    for name, rest in STEP.findall(text):
        if name in TRANSFORMS.names():
            kind = TRANSFORMS.get(name)
            typed = dict(re.findall(r" (\w+)=(\[.*?\]|\S+)", rest))
            given = {**kind.in_run, **typed}
            # How the rows are read is the run's own.
            pairs = [f"{key}: {value}" for key, value in given.items() if key not in kind.read_by]
            settings = ", ".join([f"name: {name}", *pairs])
            steps.append(f"{{{settings}}}" if pairs else name)
    return steps


def _after(steps: str, step: str) -> str:
    """Returns the steps with one more behind them, as they are typed."""
    if step in steps:
        return steps
    before = steps.strip().removeprefix("[").removesuffix("]").strip()
    return f"[{before}, {step}]" if before else step


def _parses(path: str, value: str) -> bool:
    try:
        with_overrides({}, [f"{path}={value}"])
    except SpecError:
        return False
    return True
