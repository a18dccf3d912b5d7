"""A penalty on saying the same again (Yeo et al. 2025, section 4.2): the share of n-grams that
occurred before.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from tunesmith.metrics import words
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec


@REWARDS.register
class Repetition(AnswerReward):
    """0 for an answer that repeats nothing, down to nearly -1 for one that repeats all."""

    class Config(Spec):
        """What counts as repeated."""

        ngram: Annotated[int, Gt(0)] = 3
        """Words in a row (Chinese: characters) that must not come again."""

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns minus the share of n-grams that occur earlier in the answer; 0 for an answer too
        short to have any.
        """
        said, size = words(completion), self.config.ngram
        runs = [tuple(said[start : start + size]) for start in range(len(said) - size + 1)]
        return len(set(runs)) / len(runs) - 1 if runs else 0.0
