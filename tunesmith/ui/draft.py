"""What a person has chosen before a run begins: settings as they are typed after a verb. They
travel in the address of each page, so that a page may be kept, opened twice or gone back to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import yaml

from tunesmith.errors import Problem
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Run
from tunesmith.settings.yaml_file import settings_in
from tunesmith.ui.allowed import may_be_set, refused
from tunesmith.ui.goals import GOALS, goal_of
from tunesmith.words import language, say

if TYPE_CHECKING:
    from tunesmith.ui.places import Places

SHORT = {"model.path": "model", "data.path": "data"}
"""Settings by the name under which they are typed."""
COLUMN = "column."
"""Before our name of a column, in a form: ``column.question=Frage``."""


@dataclass(frozen=True)
class Draft:
    """A run that has not begun: ``values`` are settings by dotted path, as they are typed."""

    values: Mapping[str, str]
    goal: str = "answer"
    name: str = ""
    problems: tuple[Problem, ...] = ()
    """What may not be set from a page."""

    def query(self, changed: Mapping[str, str] | None = None) -> str:
        """Returns the draft as the query of an address, with some values changed."""
        values = {**self.values, **(changed or {})}
        typed = {SHORT.get(path, path): value for path, value in values.items() if value}
        return urlencode({**typed, "goal": values.get("goal", self.goal), "name": self.name})

    def words(self, places: Places, objective: str = "") -> list[str]:
        """Returns the settings as they are typed after ``tunesmith train``."""
        values = dict(self.values)
        if objective and objective != Run.model_fields["objective"].default:
            values.setdefault("objective", objective)
        typed = [f"{SHORT.get(path, path)}={value}" for path, value in values.items()]
        return [*typed, f"out={places.typed(places.run(self.name))}"]

    def command(self, places: Places, objective: str = "") -> list[str]:
        """Returns what the process of the run is started with."""
        return ["tunesmith", "train", *self.words(places, objective), "--lang", language()]

    def yaml(self, places: Places, objective: str = "") -> str:
        """Returns the settings as a file for ``tunesmith train``."""
        plain = with_overrides({}, self.words(places, objective))
        return yaml.safe_dump(plain, allow_unicode=True, sort_keys=False, width=100)


def draft_of(pairs: Iterable[tuple[str, str]], places: Places) -> Draft:
    """Reads the fields of a form or of an address; empty ones are not given."""
    typed: dict[str, str] = {}
    columns: dict[str, str] = {}
    long = {short: path for path, short in SHORT.items()}
    for key, value in pairs:
        if not value.strip():
            continue
        if key.startswith(COLUMN):
            columns[key.removeprefix(COLUMN)] = value
        else:
            typed[long.get(key, key)] = value if "\n" in value else value.strip()
    goal = typed.pop("goal", "answer")
    name = typed.pop("name", "")
    if columns:
        told = yaml.safe_dump(columns, default_flow_style=True, allow_unicode=True, width=10**9)
        typed["data.columns"] = told.strip()
    wrong = {path: refused(path, value, places) for path, value in typed.items()}
    problems = [problem for found in wrong.values() for problem in found]
    if goal not in GOALS:
        problems.append(Problem("goal", say("ui_new.no_goal", known=", ".join(GOALS))))
        goal = "answer"
    if name and not places.is_name(name):
        problems.append(Problem("out", say("ui_new.bad_name")))
        name = ""
    # What was refused goes no further: no page reads it, and no run is given it.
    kept = {path: value for path, value in typed.items() if not wrong[path]}
    return Draft(kept, goal, name, tuple(problems))


def named(draft: Draft, places: Places) -> Draft:
    """Returns the draft with a free name for its run, after its data, where it has none."""
    return draft if draft.name else replace(draft, name=places.free(draft.values.get("data.path")))


def draft_from_yaml(text: str, places: Places) -> Draft:
    """Reads a run's file; raises SpecError where it is none. Where its run would be stands in the
    page's folder, under the name that it has there.
    """
    given = settings_in(text, "run.yaml")
    pairs = dict(_typed(given, ""))
    out = pairs.pop("out", "")
    name = out.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if "objective" in pairs:
        pairs["goal"] = goal_of(pairs["objective"])
    if name and places.is_name(name):
        pairs["name"] = name
    return draft_of(pairs.items(), places)


def _typed(given: Mapping[str, object], above: str) -> Iterable[tuple[str, str]]:
    """Yields each setting of a file by its path, written as it is typed."""
    for key, value in given.items():
        path = f"{above}.{key}" if above else str(key)
        if key == "name" and above and isinstance(value, str):
            yield above, value
        elif isinstance(value, Mapping) and ("name" in value or not may_be_set(path)):
            yield from _typed(value, path)
        elif value is not None:
            yield path, _flat(value)


def _flat(value: object) -> str:
    if isinstance(value, str):
        return value
    told = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9)
    return told.strip().removesuffix("\n...").strip()
