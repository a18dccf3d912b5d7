"""What the mixtures of experts share."""

from __future__ import annotations

from tunesmith.errors import Problem, SpecError
from tunesmith.words import say


def check_top_k(top_k: int, experts: int) -> None:
    """Raises SpecError where a token would use more experts than there are."""
    if top_k > experts:
        raise SpecError(Problem("method.top_k", say("own.top_k", top_k=top_k, experts=experts)))
