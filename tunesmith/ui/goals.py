"""What a person wants of a model. The objective follows from it and from the rows."""

from __future__ import annotations

from itertools import islice

from tunesmith.data.asked_reading import reading_for
from tunesmith.data.reading import Reading, examples
from tunesmith.errors import Problem, TunesmithError
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Data
from tunesmith.words import language, say, texts

GOALS: dict[str, tuple[str, ...]] = {
    "answer": ("sft",),
    "label": ("classify",),
    "extract": ("classify_tokens",),
    "prefer": ("dpo", "kto"),
    "rewards": ("grpo", "ppo"),
    "embed": ("embed",),
    "write": ("pretrain",),
}
"""The objectives that serve a goal, the usual one first."""
FIRST_ROWS = 1000
"""Rows that are read to see whether they would do for a goal; there are up to seven to try."""


def goal_of(objective: str) -> str:
    """Returns the goal that an objective serves."""
    return next((goal for goal, names in GOALS.items() if objective in names), "answer")


def objective_of(data: Data, goal: str) -> tuple[str, list[Problem]]:
    """Returns the objective of a goal whose rows these are, and what the reader says where they
    are of none. A goal whose objectives read the same rows needs no look at them.
    """
    first, *others = GOALS[goal]
    if len({OBJECTIVES.get(name).eats for name in GOALS[goal]}) == 1:
        return first, []
    wrong = [_problems(data, name) for name in (first, *others)]
    for name, problems in zip((first, *others), wrong, strict=True):
        if not problems:
            return name, []
    return first, wrong[0]


def other_goals(data: Data, goal: str) -> list[str]:
    """Returns the goals that the rows would do for."""
    return [
        other
        for other, names in GOALS.items()
        if other != goal and any(_has_rows(data, name) for name in names)
    ]


def why(objective: str, goal: str, given: bool) -> str:
    """Says why this is the objective."""
    if given:
        return say("ui_new.why_given", objective=objective)
    kind = f"row_{OBJECTIVES.get(objective).eats.__name__.lower()}"
    fields = {"objective": objective, "rows": texts(language(), "kinds")[kind]}
    return say("ui_new.why", goal=say(f"ui_new.goal_{goal}"), **fields)


def _has_rows(data: Data, objective: str) -> bool:
    """Tells whether the files can be read for an objective, and have rows for it. A file that is
    damaged is so for every goal, which its first rows show.
    """
    try:
        if _problems(data, objective):
            return False
        return bool(list(islice(_reading(data, objective), FIRST_ROWS)))
    except TunesmithError:
        return False


def _reading(data: Data, objective: str) -> Reading:
    """Returns the files as an objective reads them."""
    kind = OBJECTIVES.get(objective)
    return examples(data, kind.eats, reading=reading_for(kind))


def _problems(data: Data, objective: str) -> list[Problem]:
    """Returns what keeps the files from being read for an objective, by their first rows."""
    eats = OBJECTIVES.get(objective).eats
    try:
        opened = _reading(data, objective).opened
    except TunesmithError as error:
        return [*error.problems]
    wrong = [file for file in opened if file.reader.gives is not eats]
    return [Problem("data", say("ui_new.other_rows")) for _ in wrong]
