"""The right number, however it is written: the last one of the answer, as GSM8K is scored (Cobbe et
al. 2021).
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from tunesmith.examples import final
from tunesmith.metrics._number import same_number
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec, Word


@REWARDS.register
class Number(AnswerReward):
    """1 where the last number of the answer is the right one, else 0."""

    class Config(Spec):
        """Which number is right, and how nearly."""

        column: Word = "answer"
        """The column whose last number is the right one (``… #### 72``)."""
        tolerance: Annotated[float, Ge(0)] = 1e-6
        """Largest difference, as a share of the right number."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the right answer."""
        return (self.config.column,)

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns 1 or 0; None where the row itself holds no number."""
        wanted = str(row[self.config.column])
        same = same_number(final(completion), wanted, self.config.tolerance)
        return None if same is None else float(same)
