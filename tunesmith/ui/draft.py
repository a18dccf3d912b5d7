"""What a person has chosen before a run begins: settings as they are typed after a verb. They
travel in the address of each page, so that a page may be kept, opened twice or gone back to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import yaml

from tunesmith.errors import Problem
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Run
from tunesmith.settings.yaml_file import settings_in
from tunesmith.ui.allowed import PLUG_INS, may_be_set, refused
from tunesmith.ui.composed import SHORT, composed, files_of, flow, is_composed, typed_as
from tunesmith.ui.goals import GOALS, goal_of
from tunesmith.words import language, say

if TYPE_CHECKING:
    from tunesmith.ui.places import Places


@dataclass(frozen=True)
class Draft:
    """A run that has not begun: ``values`` are settings by dotted path, as they are typed."""

    values: Mapping[str, str]
    goal: str = "answer"
    name: str = ""
    problems: tuple[Problem, ...] = ()
    """What may not be set from a page."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """The values of ``problems``: they go back into their fields, and nowhere else."""

    def shown(self, path: str) -> str:
        """Returns what stands in the field of a setting."""
        return self.values.get(path) or self.refused.get(path, "")

    @property
    def files(self) -> list[str]:
        """The places of the rows."""
        return [file.path for file in files_of(self.values.get("data.path", ""))]

    def query(self, changed: Mapping[str, str] | None = None) -> str:
        """Returns the draft as the query of an address, with some values changed."""
        values = {**self.values, **(changed or {})}
        typed = {typed_as(path, value): value for path, value in values.items() if value}
        return urlencode({**typed, "goal": values.get("goal", self.goal), "name": self.name})

    def words(self, places: Places, objective: str = "") -> list[str]:
        """Returns the settings as they are typed after ``tunesmith train``."""
        values = dict(self.values)
        if objective and objective != Run.model_fields["objective"].default:
            values.setdefault("objective", objective)
        typed = [f"{typed_as(path, value)}={value}" for path, value in values.items()]
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
    parts: dict[str, str] = {}
    long = {short: path for path, short in SHORT.items()}
    for key, value in pairs:
        if not value.strip():
            continue
        kept = value if "\n" in value else value.strip()
        if is_composed(key):
            parts[key] = kept
        else:
            typed[long.get(key, key)] = kept
    goal = typed.pop("goal", "answer")
    name = typed.pop("name", "")
    made = composed(parts, typed.get("data.path", ""), goal)
    both = "questions" in typed and "questions" in made
    # An objective that is named among all settings stands above the choice beside the rewards.
    rows = {path: made[path] for path in ("data.path", "data.columns") if path in made}
    typed = {**made, **typed, **rows}
    wrong = {path: refused(path, value, places) for path, value in typed.items()}
    problems = [problem for problems_there in wrong.values() for problem in problems_there]
    if both:
        problems.append(Problem("questions", say("ui_new.questions_twice")))
    if goal not in GOALS:
        problems.append(Problem("goal", say("ui_new.no_goal", known=", ".join(GOALS))))
        goal = "answer"
    left = {path: value for path, value in typed.items() if wrong[path]}
    if name and not places.is_name(name):
        problems.append(Problem("out", say("ui_new.bad_name")))
        left["out"], name = name, ""
    # What was refused goes no further: no page reads it, and no run is given it.
    kept = {path: value for path, value in typed.items() if not wrong[path]}
    if goal_of(kept.get("objective", GOALS[goal][0])) != "rewards":
        # The page keeps the fields of rewards in the form, whatever the goal is by now.
        kept = {path: value for path, value in kept.items() if not path.startswith("source.")}
    return Draft(kept, goal, name, tuple(problems), left)


def named(draft: Draft, places: Places) -> Draft:
    """Returns the draft with a free name for its run, after its data, where it has none."""
    return draft if draft.name else replace(draft, name=places.free(next(iter(draft.files), "")))


def draft_from_yaml(text: str, places: Places) -> Draft:
    """Reads a run's file; raises SpecError where it is none. Where its run would be stands in the
    page's folder, under the name that it has there.
    """
    given = settings_in(text, "run.yaml")
    pairs = dict(_typed(given, ""))
    out = pairs.pop("out", "")
    if pairs.get("source") in ("rows", "rollout"):  # which of them, the objective says
        del pairs["source"]
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
        elif isinstance(value, Mapping) and (path in PLUG_INS or not may_be_set(path)):
            yield from _typed(value, path)
        elif value is not None:
            yield path, _flat(value)


def _flat(value: object) -> str:
    return value if isinstance(value, str) else flow(value)
