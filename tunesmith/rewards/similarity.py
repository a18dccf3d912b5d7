"""Likeness to the reference answer, for tasks in which more than one wording is right."""

from __future__ import annotations

from typing import Literal

from tunesmith.examples import final
from tunesmith.metrics.chrf import Chrf
from tunesmith.metrics.rouge_l import RougeL
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec, Word


@REWARDS.register
class Similarity(AnswerReward):
    """How like the reference the answer is, 0 to 1."""

    class Config(Spec):
        """What is compared, and how."""

        column: Word = "answer"
        """The column that holds the reference."""
        metric: Literal["rouge_l", "chrf"] = "rouge_l"
        """rouge_l compares words in their order, chrf pieces of words."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the reference."""
        return (self.config.column,)

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns a reward between 0 and 1."""
        written, wanted = final(completion), str(row[self.config.column])
        if self.config.metric == "chrf":
            return Chrf(None).score(written, wanted) / 100
        return RougeL(None).score(written, wanted)
