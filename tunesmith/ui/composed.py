"""Settings that several fields of a form say together: columns, files with their weights, rewards,
own questions. They travel as they are typed, in one line of YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin

import yaml

from tunesmith.errors import SpecError
from tunesmith.settings.family import REWARDS
from tunesmith.settings.yaml_file import read_yaml

REWARDS_HERE = (
    *("exact", "number", "choice", "similarity", "format", "json", "length", "language"),
    *("repetition", "model", "likelihood"),
)
"""What an answer may be worth, from a page: rewards that run no code of anybody's and send nothing
away.
"""
SHORT = {"model.path": "model", "data.path": "data"}
"""Settings by the name under which they are typed."""
COLUMN, FILE, TIMES, REST = "column.", "file.", "times.", "rest."
"""Before our name of a column (``column.question=Frage``), and before the number of a further file,
of its weight, and of what else is set of it.
"""
COLUMNS = "columns."
"""Before the number of a file among several, from 0 on, and our name of a column of it
(``columns.1.question=Frage``); the number alone says that its columns are given anew.
"""
REWARD, WEIGHT = "reward.", "weight."
"""Before the name of a reward: ``reward.length.target=40``, ``weight.length=0.5``."""
ASKED, LEARN = "asked", "learn"
"""Questions, one a line; and the objective that learns from rewards."""
MORE_FILES = 3
"""Further files that a page has fields for."""


@dataclass(frozen=True)
class File:
    """A file of rows among several."""

    path: str
    weight: str = ""
    rest: Mapping[str, Any] = field(default_factory=dict)
    """What else is set of it."""

    @property
    def rest_typed(self) -> str:
        """The rest as it is typed."""
        return flow(self.rest) if self.rest else ""


def is_composed(key: str) -> bool:
    """Tells whether a field of a form is a part of a setting."""
    parts = (COLUMN, COLUMNS, FILE, TIMES, REST, REWARD, WEIGHT)
    return key in (ASKED, LEARN) or key.startswith(parts)


def composed(parts: Mapping[str, str], data: str, goal: str) -> dict[str, str]:
    """Returns the settings that the parts say; ``data`` is the file that stands first."""
    columns = _under(COLUMN, parts)
    settings = {"data.columns": flow(columns)} if columns else {}
    settings |= _files(parts, data)
    if ASKED in parts:
        lines = [line.strip() for line in parts[ASKED].splitlines()]
        settings["questions"] = flow([line for line in lines if line])
    if goal == "rewards":
        settings |= _rewards(parts)
        if LEARN in parts:
            settings["objective"] = parts[LEARN]
    return settings


def files_of(value: str) -> list[File]:
    """Returns the files that a setting of rows names; none where it is no such list."""
    if not is_list(value):
        return [File(value)] if value else []
    return [file for entry in _read(value) if (file := _file(entry)) is not None]


def questions_of(value: str) -> list[str] | None:
    """Returns the questions of a list of texts; None for a file, or for rows."""
    listed = _read(value) if is_list(value) else None
    texts = isinstance(listed, list) and all(isinstance(text, str) for text in listed)
    return listed if texts else None


def rewards_of(value: str) -> list[dict[str, Any]]:
    """Returns the rewards of a setting, each with its name and what else is set of it."""
    listed = _read(value)
    return [
        dict(reward) if isinstance(reward, Mapping) else {"name": reward}
        for reward in (listed if isinstance(listed, list) else [listed])
    ]


def weights_of(value: str) -> list[str]:
    """Returns the weights of rewards, as they are typed."""
    listed = _read(value) if value else []
    return [str(weight) for weight in (listed if isinstance(listed, list) else [listed])]


def flow(value: object) -> str:
    """Writes a value in one line, as it is typed."""
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**9
    )
    return text.strip().removesuffix("\n...").strip()


def _under(before: str, parts: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix(before): value for key, value in parts.items() if key.startswith(before)
    }


def is_list(value: str) -> bool:
    """Tells whether a value was typed as a list."""
    return value.lstrip()[:1] == "["


def typed_as(path: str, value: str) -> str:
    """Returns the name under which a setting is typed; beside a list others of its group would have
    no place.
    """
    return path if is_list(value) else SHORT.get(path, path)


def _read(value: str) -> Any:
    """Reads what was typed; a text that is no YAML stays one, and is refused where it is read."""
    try:
        return read_yaml(value)
    except SpecError:
        return value


def _files(parts: Mapping[str, str], data: str) -> dict[str, str]:
    """Returns the setting of several files; nothing where one is named alone, as it is."""
    paths = {"0": data, **_under(FILE, parts)}
    if is_list(data):
        return _read_anew(_under(COLUMNS, parts), data)
    times = _under(TIMES, parts)
    rest = _under(REST, parts)
    chosen = {number: path for number, path in paths.items() if path}
    if list(chosen) in ([], ["0"]) and "0" not in times:
        return {}
    if len(chosen) == 1 and not set(chosen) & set(times):
        return {"data.path": next(iter(chosen.values()))}
    files: list[object] = []
    for number, path in chosen.items():
        more = _read(rest.get(number, "{}"))
        entry = {"path": path, **(more if isinstance(more, Mapping) else {})}
        if number in times:
            entry["weight"] = _read(times[number])
        files.append(entry if len(entry) > 1 else path)
    return {"data.path": flow(files)}


def _read_anew(typed: Mapping[str, str], data: str) -> dict[str, str]:
    """Returns the setting of several files with other columns of some of them."""
    files = _read(data)
    if not typed or not isinstance(files, list):
        return {}
    entries: list[object] = []
    for number, file in enumerate(files):
        entry = dict(file) if isinstance(file, Mapping) else {"path": file}
        if str(number) in typed:
            entry.pop("columns", None)
            columns = _under(f"{number}.", typed)
            entry |= {"columns": columns} if columns else {}
        entries.append(entry if len(entry) > 1 else entry["path"])
    return {"data.path": flow(entries)}


def _file(one: object) -> File | None:
    if isinstance(one, str):
        return File(one)
    if not isinstance(one, Mapping):
        return None
    rest = {key: value for key, value in one.items() if key not in ("path", "weight")}
    weight = one.get("weight")
    return File(str(one.get("path", "")), "" if weight is None else str(weight), rest)


def _rewards(parts: Mapping[str, str]) -> dict[str, str]:
    names = [name for name in REWARDS_HERE if f"{REWARD}{name}" in parts]
    if not names:
        return {}
    rewards = [_reward(name, _under(f"{REWARD}{name}.", parts)) for name in names]
    settings = {"source.rewards": flow(rewards)}
    if any(f"{WEIGHT}{name}" in parts for name in names):
        weights = [_read(parts.get(f"{WEIGHT}{name}", "1")) for name in names]
        settings["source.weights"] = flow(weights)
    return settings


def _reward(name: str, given: Mapping[str, str]) -> object:
    fields = REWARDS.get(name).Config.model_fields
    typed = {
        key: _typed(fields[key].annotation, value) for key, value in given.items() if key in fields
    }
    return {"name": name, **typed} if typed else name


def _typed(annotation: object, value: str) -> object:
    """Reads a field by its type: a text is one whatever it looks like, and a list is parted by
    commas.
    """
    if annotation in (str, str | None):
        return value
    if get_origin(annotation) is tuple:
        return [part.strip() for part in value.split(",") if part.strip()]
    return _read(value)
