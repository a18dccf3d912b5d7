"""What a search is asked: which settings it may change, in which ranges, and how it picks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Gt
from pydantic import BeforeValidator

from tunesmith.settings.family import ENGINES, PLACES, choice
from tunesmith.settings.spec import Spec


def _flat(value: object) -> object:
    """Turns ``{train: {learning_rate: …}}`` into dotted paths, and puts together again what YAML
    cuts at a comma: in braces ``log(1e-5, 1e-3)`` reads as a text and a key without a value.
    """
    if not isinstance(value, Mapping):
        return value
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        last = next(reversed(flat), "")
        before = flat.get(last)
        cut = isinstance(before, str) and "(" in before and not before.endswith(")")
        if inner is None and cut and str(key).endswith(")"):
            flat[last] = f"{before}, {key}"
        elif isinstance(inner, Mapping):
            within: Any = _flat(inner)
            flat |= {f"{key}.{path}": within[path] for path in within}
        else:
            # One value is told as a list that gives no choice, at its own path.
            flat[str(key)] = inner if isinstance(inner, str | list | tuple) else [inner]
    return flat


class Search(Spec):
    """Settings that are tried; read by ``tunesmith search`` alone."""

    over: Annotated[Mapping[str, str | tuple[Any, ...]], BeforeValidator(_flat)] = {}
    """The settings by path, each with its values: ``log(1e-5, 1e-3)``, ``uniform(0, 0.2)``,
    ``int(4, 64)`` or a list; the learning rate, over the method's own range, when not given."""
    trials: Annotated[int, Gt(0)] = 8
    """How many different settings are tried, the run's own as the first."""
    engine: choice(ENGINES, "halving") = "halving"  # type: ignore[valid-type]
    """How they are picked: halving spreads them evenly and trains the better half longer; hyperband
    halves in several ways; random; tpe learns from the trials before (Optuna)."""
    workers: Annotated[int, Gt(0)] = 1
    """How many trials are trained at a time, each in a process of its own that has its share of
    the cores and of the memory."""
    place: choice(PLACES, "local") = "local"  # type: ignore[valid-type]
    """Where: local, on this machine; ray, on a Ray cluster whose machines see the folder."""

    general: str | None = None
    """File of general rows that each model is asked at the end of its trial, to see what it forgot:
    ``package:editorials`` is at hand. The front then counts that, too."""

    model_config = Spec.model_config | {"validate_default": True}
