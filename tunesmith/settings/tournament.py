"""What a tournament is asked: its entries, each a method with its settings, and how rates and
places are found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge, Gt
from pydantic import BeforeValidator

from tunesmith.settings.family import METHODS, choice
from tunesmith.settings.spec import Spec

USUAL: tuple[object, ...] = (
    "lora",
    {"name": "lora", "variant": "dora"},
    *("adalora", "vera", "loha", "lokr", "oft", "fourierft", "ia3", "bitfit", "freeze", "full"),
)


def _several(value: object) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return value[0] if len(value) == 1 else {"name": "combined", "methods": value}


SEVERAL = BeforeValidator(_several)
"""A list of methods means all of them at once; a list of one means that one."""
Share = Annotated[float, Gt(0)]
_ONE_OR_MORE = BeforeValidator(
    lambda value: [value] if isinstance(value, str | Mapping | float | int) else value
)


class Tournament(Spec):
    """Methods compared on the same rows; read by ``tunesmith tournament`` alone."""

    methods: Annotated[tuple[Annotated[choice(METHODS), SEVERAL], ...], _ONE_OR_MORE] = USUAL  # type: ignore[valid-type]
    """The methods, by name, with settings, or several at once: ``[lora, {name: lora, variant:
    dora}, [lora, bitfit]]``; a dozen when not given."""
    rates: Annotated[int, Gt(0)] = 4
    """Learning rates tried for each method, evenly spaced by ratio over its own range; 1 takes the
    method's own rate.
    """
    rungs: Annotated[tuple[Share, ...], _ONE_OR_MORE] = (0.1, 0.3)
    """Shares of the whole training after which the worse half of a method's rates is left out, at
    the last all but one; each is a training of its own, with the whole schedule."""
    places: Annotated[int, Ge(0)] = 3
    """The first so many methods, by the watched rows, are trained with several seeds."""
    seeds: Annotated[int, Gt(0)] = 3
    """Seeds for those, counted from ``train.seed``; the rows and their split stay the same."""
    general: str | None = "package:editorials"
    """File of general rows on which it is measured what a method forgot; null leaves that out."""
    general_rows: Annotated[int, Gt(0)] = 200
    """At most this many of them, spread over the file."""

    model_config = Spec.model_config | {"validate_default": True}


def label(method: Any) -> str:
    """Returns the name of an entry: the method's name, and the settings that are not its
    defaults.
    """
    if method.name == "combined":
        return "+".join(map(label, method.methods))
    fields = type(method).model_fields
    changed = {
        name: value
        for name, value in vars(method).items()
        if name != "name" and value != fields[name].get_default()
    }
    return " ".join([method.name, *(f"{name}={_short(value)}" for name, value in changed.items())])


def slug(method: object) -> str:
    """Returns the name of an entry's folder."""
    return re.sub(r"[^\w.=,+-]+", "-", label(method)).strip("-")


def _short(value: object) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(_short, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
