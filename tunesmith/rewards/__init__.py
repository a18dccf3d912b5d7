"""How good an answer is that the policy sampled: one reward a file, each a number, or None where it
has no opinion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tunesmith.settings.family import REWARDS
from tunesmith.settings.spec import Spec

__all__ = ["REWARDS", "AnswerReward", "bare"]

Row = Mapping[str, Any]

_ENDS = re.compile(r"^[\W_]+|[\W_]+$")


class AnswerReward:
    """Base of the rewards. It runs in a process of its own, which is ended where it takes too
    long.
    """

    name: ClassVar[str]

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row without which it cannot say anything."""
        return ()

    def load(self) -> None:
        """Gets ready, once before it is asked; SpecError where it cannot."""

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """The reward of one answer; None abstains. ``row`` holds the row's own columns, and
        ``question`` and ``answer`` under these names.
        """
        raise AssertionError(f"reward {self.name} has no reward")


def bare(text: str) -> str:
    """A short answer without what does not make it another: case, white space, and marks at its
    ends.
    """
    return _ENDS.sub("", " ".join(text.split())).casefold()
