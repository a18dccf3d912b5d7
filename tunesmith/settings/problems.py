"""Turns pydantic's errors into problems, each at its dotted key path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, get_args

from pydantic import ValidationError

from tunesmith.errors import Problem
from tunesmith.settings.spec import Spec, closest
from tunesmith.words import say


def _explained(path: tuple[str, ...], prefix: tuple[str, ...]) -> str:
    """Returns what ``tunesmith explain`` knows of a key path: of a plug-in in a list, the list."""
    if any(map(str.isdigit, prefix)):
        return ".".join(takewhile(lambda part: not part.isdigit(), prefix))
    return ".".join(part for part in path if not part.isdigit())


def problems_of(
    error: ValidationError,
    spec: type[Spec],
    prefix: tuple[str, ...] = (),
    hint: Callable[[str], str | None] | None = None,
    topic: str | None = None,
) -> list[Problem]:
    """Returns every problem of validating ``spec``, plug-ins' own settings unfolded, each at its
    dotted key path.

    ``hint`` gets the path of an unknown key and may say what it is called here. ``topic`` is what
    ``tunesmith explain`` knows of settings that stand by themselves.
    """
    texts_at: dict[str, list[str]] = {}
    seen: dict[str, str] = {}
    for item in error.errors(include_url=False):
        path = prefix + _path(spec, item["loc"])
        where = ".".join(path)
        if item["type"] == "nested":
            context = item.get("ctx", {})
            for problem in problems_of(context["nested"], context["spec"], path, hint):
                texts_at.setdefault(problem.where, []).append(problem.text)
        elif item["type"] == "extra_forbidden":
            hinted = hint(where) if hint else None
            if where == "lang":
                hinted = say("spec.lang_option", value=item["input"])
            texts_at.setdefault(where, []).append(
                hinted or say("spec.extra", told=_near(spec, item["loc"]))
            )
        else:
            texts_at.setdefault(where, []).append(_text(item, topic or _explained(path, prefix)))
            if item["type"] not in ("missing", "choice"):
                seen[where] = say("spec.got", value=repr(item["input"]))
    # The branches of a union each complain at the same path. A complaint further in is the one that
    # was meant; otherwise one of each kind is given.
    meant = {
        where for where in texts_at if not any(other.startswith(f"{where}.") for other in texts_at)
    }
    return [
        Problem(where, say("spec.or").join(dict.fromkeys(texts)) + seen.get(where, ""))
        for where, texts in texts_at.items()
        if where in meant
    ]


def _text(item: Any, setting: str) -> str:
    """Describes what is wrong with one value, in the current language."""
    context = {name: value for name, value in item.get("ctx", {}).items() if name != "error"}
    if item["type"] == "string_type" and isinstance(item["input"], bool):
        return say("spec.yaml_word", word="yes" if item["input"] else "no")
    try:
        return (
            item["msg"]
            if item["type"] == "choice"
            else say(f"spec.{item['type']}", setting=setting, **context)
        )
    except (
        KeyError
    ):  # pydantic has a hundred kinds of error; those that are not in the words keep its English
        return item["msg"].removeprefix("Value error, ")


def group_of(annotation: object) -> type[Spec] | None:
    """Returns the Spec that a field's annotation holds, whether optional, in a list or annotated;
    None for a plain value.
    """
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation
    return next((group for part in get_args(annotation) if (group := group_of(part))), None)


def _path(spec: type[Spec], loc: Sequence[int | str]) -> tuple[str, ...]:
    """Returns the key path of an error, without what pydantic adds to it for the branches of a
    union.
    """
    group: type[Spec] | None = spec
    path: list[str] = []
    for index, part in enumerate(loc):
        field = group.model_fields.get(str(part)) if group else None
        if field is not None:
            path.append(str(part))
            inner = group_of(field.annotation)
            # A list of groups keeps its group for the index that follows.
            group = inner
        elif isinstance(part, int) or (
            index == len(loc) - 1
            and group is not None
            and part != group.__name__
            and not _is_branch(part)
        ):
            path.append(str(part))
    return tuple(path)


def _is_branch(part: int | str) -> bool:
    return (
        str(part) in {"str", "int", "float", "bool", "list", "tuple", "dict"}
        or not str(part).replace("_", "").isalnum()
    )


def _near(spec: type[Spec], loc: tuple[int | str, ...]) -> str:
    """Suggests a key for the last part of ``loc``, or lists the keys that its group has."""
    group: type[Spec] = spec
    for part in loc[:-1]:
        field = group.model_fields.get(str(part))
        group = (group_of(field.annotation) if field is not None else None) or group
    fields = [name for name in group.model_fields if name != "name"]
    return closest(str(loc[-1]), fields) or (
        say("spec.known_here", known=", ".join(fields)) if fields else say("spec.no_settings")
    )


def paths_of(spec: type[Spec], prefix: str = "") -> list[str]:
    """Returns the dotted path of every setting below ``spec``, without plug-ins' own settings."""
    paths: list[str] = []
    for name, field in spec.model_fields.items():
        group = group_of(field.annotation)
        path = f"{prefix}{name}"
        paths += [path] if group is None else paths_of(group, f"{path}.")
    return paths
