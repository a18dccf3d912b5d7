"""What is said of a row of a kind that the objective does not learn from."""

from __future__ import annotations

from typing import Any

from tunesmith.examples import Example, Labelled
from tunesmith.settings.family import OBJECTIVES
from tunesmith.words import language, say, texts


def wrong_kind(objective: Any, example: Example) -> str:
    """Says what kind of row an example is, and which the objective learns from."""
    if isinstance(example, Labelled):
        return say(
            "labelled.wrong_kind",
            objective=objective.name,
            eats=objective.eats.__name__.lower(),
        )
    fitting = [
        name
        for name in OBJECTIVES.names()
        if OBJECTIVES.get(name).eats is type(example) and not name.endswith(".py")
    ]
    words_of_kinds = texts(language(), "kinds")
    kind = words_of_kinds.get(f"is_{type(example).__name__.lower()}", type(example).__name__)
    needs = words_of_kinds.get(f"row_{objective.eats.__name__.lower()}", objective.eats.__name__)
    return say(
        "ledger.wrong_kind",
        kind=kind,
        objective=objective.name,
        needs=needs,
        better=_likeliest_of(fitting),
    )


def _likeliest_of(fitting: list[str]) -> str:
    """Names the objective that most people want among those that take one kind of row, then the
    others.
    """
    usual = [
        name for name in ("sft", "dpo", "classify", "embed", "kto", "pretrain") if name in fitting
    ]
    first, *rest = [*usual, *(name for name in fitting if name not in usual)] or ["-"]
    return first + (say("ledger.also_fit", names=", ".join(rest)) if rest else "")
