"""Spec, the base of every setting, and Family, a folder of plug-ins; nothing here imports torch.

A Family's file name is the plug-in's name; the file registers one class, and is imported only when
named.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

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
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    def values(self, *names: str) -> JsonObject:
        """Returns the settings of these names, or all of them; raises KeyError for a name
        it lacks.
        """
        held = dict(self)
        return {name: held[name] for name in names or held}


def closest(name: str, known: list[str]) -> str:
    """Returns a did-you-mean clause for ``name``, empty when no name is similar."""
    match = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return say("spec.did_you_mean", name=repr(match[0])) if match else ""


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
