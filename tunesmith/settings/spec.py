"""Spec, the base of every setting, and Family, a folder of plug-ins; nothing here imports torch.

A Family's file name is the plug-in's name; the file registers one class, and is imported only when
named.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from tunesmith.plain import JsonObject
from tunesmith.settings.yaml_file import _Loader
from tunesmith.words import say


class Spec(BaseModel):
    """A group of settings: immutable, closed to unknown keys, each attribute's docstring is its
    help.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        defer_build=True,  # most of the 180 groups are never filled: 0.2 s of a start
    )

    @field_validator("*", mode="before")
    @classmethod
    def _number_is_no_word(cls, value: object, info: ValidationInfo) -> object:
        """Refuses true and false where a number is meant: pydantic takes them as 1 and 0, so that
        ``data.limit: yes`` would train one row.
        """
        if isinstance(value, bool) and info.field_name in cls.model_fields:
            types = _types(cls.model_fields[info.field_name].annotation)
            if bool not in types and types & {int, float}:
                raise PydanticCustomError("word_as_number", "must be a number")
        return value

    def values(self, *names: str) -> JsonObject:
        """Returns the settings of these names, or all of them; raises KeyError for a name
        it lacks.
        """
        held = dict(iter(self))  # dict(self) would call a setting that is named ``keys``
        return {name: held[name] for name in names or held}

    @classmethod
    def help_of(cls, name: str) -> str:
        """Returns the docstring under the attribute ``name``, "" where there is none.

        It is read when it is asked for: pydantic reads all of them where a class is made, which
        took 1 s of the CPU for each verb that loads torch.
        """
        for parent in cls.__mro__:
            if name in inspect.get_annotations(parent):
                return _docstrings(parent).get(name, "")
        return ""


@cache
def _docstrings(cls: type) -> dict[str, str]:
    """Returns the docstring under each attribute of a class, for a class has none at run time."""
    try:
        tree = ast.parse(dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(tree, ast.ClassDef), "the source of a class is one"
    return {
        node.target.id: inspect.cleandoc(text.value.value)
        for node, text in pairwise(tree.body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _types(annotation: object) -> set[object]:
    """Returns the plain types that an annotation allows, through unions and Annotated."""
    return {annotation}.union(*map(_types, get_args(annotation)))


def closest(name: str, known: list[str]) -> str:
    """Returns a did-you-mean clause for ``name``, empty when no name is similar."""
    folded = {other.casefold(): other for other in known}  # ANSWR means ANSWER
    match = difflib.get_close_matches(name.casefold(), [*folded], n=1, cutoff=0.6)
    return say("spec.did_you_mean", name=repr(folded[match[0]])) if match else ""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def _written(value: object) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if number else value


Word = Annotated[str, BeforeValidator(_written)]
"""A label or the name of a column: YAML makes numbers of those such as 0."""
