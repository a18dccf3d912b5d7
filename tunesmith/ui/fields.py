"""The drawer of all other settings, from the classes that define them: help, allowed values, and
where a value comes from that is not given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from rich.cells import cell_len

from tunesmith.errors import Problem
from tunesmith.settings.explain import HelpPage, explain, setting_page
from tunesmith.settings.open_values import MAY_BE_OPEN
from tunesmith.settings.problems import group_of
from tunesmith.settings.run import Run
from tunesmith.settings.spec import Spec
from tunesmith.ui.allowed import ALLOWED, NAMES, PLUG_INS, may_be_set
from tunesmith.ui.draft import Draft
from tunesmith.ui.forms import by_field
from tunesmith.ui.goals import GOALS
from tunesmith.words import language, say

GROUPS = ("model", "data", "objective", "method", "train", "generate", "prove")
BESIDE = ("model.path", "data.path", "questions")
"""Settings that have a place of their own on the page, as those of rewards have."""
LONG = ("data.template", "data.system")
"""Settings that are texts of several lines."""
ENDS, COMMA = re.compile(r"[;:；：。]|\.(?=\s|$)"), re.compile(r",\s|，")
"""What ends the part of a help that says what a setting is."""
LONG_LABEL = 60
"""Columns of a label that is cut at a comma, where it has one."""


@dataclass(frozen=True)
class Field:
    """One setting in the drawer."""

    path: str
    help: str
    type: str
    value: str
    """As it was typed; empty where it is not given."""
    usual: str
    """What holds where it is not given."""
    origin: Literal["given", "derived", "default"]
    options: tuple[str, ...] = ()
    long: bool = False
    problems: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What it is, in a few words: how its help begins."""
        first = ENDS.split(self.help.partition("\n")[0])[0]
        shorter = COMMA.split(first)[0]
        return shorter if cell_len(first) > LONG_LABEL and _closed(shorter) else first

    @property
    def more(self) -> str:
        """What the help says beside that."""
        return self.help.removeprefix(self.label).lstrip(",;:.，；：。 \n")


def _closed(text: str) -> bool:
    return text.count("(") == text.count(")") and text.count("（") == text.count("）")


def drawer(draft: Draft, problems: Sequence[Problem]) -> dict[str, list[Field]]:
    """Returns the settings by group, each with what is wrong with it."""
    paths = [path for path in ALLOWED if path not in BESIDE and not path.startswith("source.")]
    for family in PLUG_INS:
        of_family = [path for path in _plug_in_paths(draft, family) if path not in paths]
        at = paths.index(family) + 1
        paths[at:at] = of_family
    at_fields = by_field(problems, paths)
    fields = [_field(path, draft, at_fields.get(path, ())) for path in paths]
    return {
        group: [field for field in fields if field.path.partition(".")[0] == group]
        for group in GROUPS
    }


def _plug_in_paths(draft: Draft, place: str) -> list[str]:
    """Returns the settings of the plug-in that is named, or of the usual one."""
    fields = PLUG_INS[place].get(_plug_in(place, draft)).Config.model_fields
    return [f"{place}.{key}" for key in fields if may_be_set(f"{place}.{key}")]


def _field(path: str, draft: Draft, problems: Sequence[str]) -> Field:
    page = explained(_page_of(path, draft), language())
    info = _info(path, draft)
    derived = path in MAY_BE_OPEN
    value = draft.shown(path)
    if path == "objective" and draft.goal == "rewards" and value in GOALS["rewards"]:
        value = ""  # it is chosen beside the rewards
    usual = say(f"ui_new.from_{MAY_BE_OPEN[path]}") if derived else usual_of(info)
    origin = "derived" if derived else "default"
    return Field(
        path=path,
        help=page.help,
        type=page.value.type if page.value is not None else "",
        value=value,
        usual=say("ui_new.from_goal") if path == "objective" else usual,
        origin="given" if value else origin,
        options=_options(path, info.annotation),
        long=path in LONG,
        problems=tuple(problems),
    )


@cache
def explained(path: str, language: str) -> HelpPage:
    """Returns the help of a setting, which is the same for each page in a language."""
    page = explain(path)[0]
    # The page of a family, such as the readers, says nothing of the setting that names one.
    return setting_page(path) if page.kind == "family" else page


def _page_of(path: str, draft: Draft) -> str:
    """Returns the path of a setting's help: a plug-in's own settings are explained by its name."""
    above, _, key = path.rpartition(".")
    if above not in PLUG_INS:
        return path
    return f"{above}.{_plug_in(above, draft)}.{key}"


def _plug_in(place: str, draft: Draft) -> str:
    """Returns the plug-in that is named, or the one that is usual for the goal."""
    named = draft.values.get(place, "")
    if named in PLUG_INS[place].names():
        return named
    return GOALS[draft.goal][0] if place == "objective" else str(_info(place, draft).default)


def _info(path: str, draft: Draft) -> FieldInfo:
    """Returns the field of a path, of the plug-in that the draft names."""
    above, _, key = path.rpartition(".")
    if above in PLUG_INS:
        return PLUG_INS[above].get(_plug_in(above, draft)).Config.model_fields[key]
    group: type[Spec] = Run
    for part in above.split(".") if above else []:
        group = group_of(group.model_fields[part].annotation) or Spec
    return group.model_fields[key]


def usual_of(info: FieldInfo) -> str:
    """Returns the default as it is typed, and of what has none that it is needed."""
    if info.is_required():
        return say("ui_new.needed")
    value = info.get_default(call_default_factory=True)
    if value is None or value == ():
        return "-"
    if isinstance(value, Spec):
        return str(value.values("name")["name"])
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _options(path: str, annotation: Any) -> tuple[str, ...]:
    """Returns the values of a choice; none where a setting takes more than named values."""
    return tuple(NAMES[path].names()) if path in NAMES else choices_in(annotation)


def choices_in(annotation: Any) -> tuple[str, ...]:
    """Returns the named values that an annotation allows; none where it allows others too."""
    named: list[str] = []
    for part in get_args(annotation) if get_origin(annotation) is not Literal else (annotation,):
        if get_origin(part) is Literal:
            named += map(str, get_args(part))
        elif part is bool:
            named += ["true", "false"]
        elif part is not type(None):
            return ()
    return tuple(named) if annotation is not bool else ("true", "false")
