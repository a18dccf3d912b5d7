"""How good an answer is that the policy sampled: one reward a file, each a number, or None where it
has no opinion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.plain import Named, Row
from tunesmith.settings.family import REWARDS
from tunesmith.settings.spec import Spec

__all__ = ["REWARDS", "AnswerReward", "Asked", "bare"]


_ENDS = re.compile(r"^[\W_]+|[\W_]+$")


@dataclass(frozen=True)
class Asked:
    """One answer, as rewards see it."""

    id: str
    """The row's."""
    prompt: str
    completion: str
    row: Row
    """The row's own columns, and ``question`` and ``answer`` under these names."""
    turns: Sequence[Named] = field(default=())
    """What was asked, turn by turn: role and content."""
    reference: str = ""
    """The right answer, where a metric is asked."""


class AnswerReward:
    """Base of the rewards. It runs in a process of its own, which is ended where it takes too
    long.
    """

    name: ClassVar[str]
    runs_users_code: ClassVar[bool] = False
    """Whether its check alone runs code of the user's, which may hang."""

    class Config(Spec):
        """No settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row that the reward needs."""
        return ()

    @property
    def at_once(self) -> int:
        """The number of answers that the reward takes together."""
        return 1

    @property
    def calibrated(self) -> bool:
        """Whether its numbers have no scale of their own: they are then shifted and scaled by those
        of the answers before training.
        """
        return False

    def folder(self) -> Path | None:
        """Returns the folder of the weights that it loads; None where it loads none."""
        return None

    def check(self) -> None:
        """Raises SpecError where the reward could not load; before a run, and without loading what
        is large.
        """
        self.load()

    def load(self) -> None:
        """Prepares the reward, once before it is asked; raises SpecError where this fails."""

    def rewards(self, answers: Sequence[Asked]) -> list[float | None]:
        """Returns the rewards of at most ``at_once`` answers, in order."""
        return [self.reward(answer.prompt, answer.completion, answer.row) for answer in answers]

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns the reward of one answer; None abstains. ``row`` holds the row's own columns, and
        ``question`` and ``answer`` under these names.
        """
        raise AssertionError(f"reward {self.name} has no reward")


def bare(text: str) -> str:
    """Removes from a short answer what makes no difference: case, white space, and marks at its
    ends.
    """
    return _ENDS.sub("", " ".join(text.split())).casefold()
