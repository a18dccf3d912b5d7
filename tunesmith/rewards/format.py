"""A form that the answer must have, as a regular expression (DeepSeek-AI 2025, section 2.2.2)."""

from __future__ import annotations

import re

from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.pattern import Pattern
from tunesmith.settings.spec import Spec


@REWARDS.register
class Format(AnswerReward):
    """1 where the answer has the form, else 0."""

    class Config(Spec):
        """The form."""

        pattern: Pattern
        """Regular expression for the whole answer, white space around it aside; a dot takes line
        ends too: ``<think>.+</think>.+``.
        """

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns 1 or 0."""
        return float(re.fullmatch(self.config.pattern, completion.strip(), re.DOTALL) is not None)
