"""What the start page shows of settings that several fields say together: rewards with their own
settings, several files, own questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.errors import Problem
from tunesmith.plain import JsonObject
from tunesmith.settings.family import REWARDS, SOURCES
from tunesmith.ui.composed import (
    MORE_FILES,
    REWARD,
    REWARDS_HERE,
    File,
    files_of,
    flow,
    questions_of,
    rewards_of,
    weights_of,
)
from tunesmith.ui.draft import Draft
from tunesmith.ui.fields import Field, choices_in, explained, usual_of
from tunesmith.words import language

SAMPLING = ("samples", "max_new_tokens", "temperature", "passes", "timeout")
"""Settings of ``source`` that say how answers are sampled."""


@dataclass(frozen=True)
class Offered:
    """A reward on the page."""

    name: str
    help: str
    chosen: bool
    weight: str
    fields: Sequence[Field]
    problems: Sequence[str]


def composed_fields(draft: Draft, problems: Sequence[Problem]) -> JsonObject:
    """Returns what the start page draws of such settings."""
    questions = draft.shown("questions")
    texts = questions_of(questions)
    of_source = [problem for problem in problems if _of_source(problem)]
    given = files_of(draft.shown("data.path"))
    shown = max(len(given), 1 + MORE_FILES)
    return {
        "several": [*given, *(File("") for _ in range(shown - len(given)))],
        "asked": "\n".join(texts or ()),
        "asked_file": "" if texts is not None else questions,
        "rewards": _offered({**draft.refused, **draft.values}, of_source),
        "sampling": [_sampled(key, draft, of_source) for key in SAMPLING],
        "source_problems": [
            problem.text for problem in of_source if not _has_field(problem, draft)
        ],
        "learn": draft.values.get("objective", "grpo"),
    }


def _of_source(problem: Problem) -> bool:
    return problem.where.partition(".")[0] == "source"


def _has_field(problem: Problem, draft: Draft) -> bool:
    """Tells whether a problem stands at a field of a reward or of the sampling."""
    parts = problem.where.split(".")
    if parts[1:2] == ["rewards"]:
        drawn = _drawn(rewards_of(draft.shown("source.rewards") or "[]"))
        return len(parts) > 2 and parts[2] in map(str, drawn.values())
    return problem.where.removeprefix("source.") in SAMPLING


def _drawn(listed: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Returns which of several rewards fills the fields of each name that the page has fields for:
    of two with one name the last.
    """
    return {
        name: index
        for index, reward in enumerate(listed)
        if (name := str(reward.get("name"))) in REWARDS_HERE
    }


def _offered(values: Mapping[str, str], problems: Sequence[Problem]) -> list[Offered]:
    """Returns the rewards, with what is set of them and what is wrong with that."""
    listed = rewards_of(values["source.rewards"]) if "source.rewards" in values else []
    weights = weights_of(values.get("source.weights", ""))
    places = _drawn(listed)
    offered = []
    for name in REWARDS_HERE:
        index = places.get(name)
        given = {} if index is None else listed[index]
        where = "source.rewards." + ("-" if index is None else str(index))
        wrong = {
            problem.where: problem.text
            for problem in problems
            if f"{problem.where}.".startswith(f"{where}.")
        }
        fields = [
            _field(name, key, info, given.get(key), wrong.pop(f"{where}.{key}", ""))
            for key, info in REWARDS.get(name).Config.model_fields.items()
            if key != "name"
        ]
        weight = weights[index] if index is not None and index < len(weights) else ""
        help_text = explained(f"rewards.{name}", language()).help
        offered.append(
            Offered(name, help_text, index is not None, weight, fields, [*wrong.values()])
        )
    return offered


def _field(name: str, key: str, info: Any, value: object, problem: str) -> Field:
    return Field(
        path=f"{REWARD}{name}.{key}",
        help=explained(f"rewards.{name}.{key}", language()).help,
        type="",
        value="" if value is None else _written(value),
        usual="" if info.is_required() else usual_of(info),
        origin="default" if value is None else "given",
        options=choices_in(info.annotation),
        problems=(problem,) if problem else (),
    )


def _sampled(key: str, draft: Draft, problems: Sequence[Problem]) -> Field:
    """Returns a setting of how answers are sampled."""
    path = f"source.{key}"
    value = draft.shown(path)
    return Field(
        path=path,
        help=explained(f"source.rollout.{key}", language()).help,
        type="",
        value=value,
        usual=usual_of(SOURCES.get("rollout").Config.model_fields[key]),
        origin="given" if value else "default",
        problems=tuple(problem.text for problem in problems if problem.where == path),
    )


def _written(value: object) -> str:
    """Writes a value as it is typed into its field; a list with commas."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else flow(value)
