"""Answers of one length: 1 at the target, falling evenly to 0 at nothing and at twice as much, so
that two answers are seldom equal.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt

from tunesmith.metrics import words
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec


@REWARDS.register
class Length(AnswerReward):
    """Between 0 and 1: how near the answer is to a length."""

    class Config(Spec):
        """The length that is wanted."""

        target: Annotated[int, Gt(0)]
        """How long an answer should be."""
        unit: Literal["words", "characters"] = "words"
        """What is counted; of Chinese and Japanese each character is a word."""

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns 1 - |length - target| / target, not below 0."""
        text = completion.strip()
        count = len(words(text)) if self.config.unit == "words" else len(text)
        return max(0.0, 1 - abs(count - self.config.target) / self.config.target)
