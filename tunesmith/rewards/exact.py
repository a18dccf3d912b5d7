"""The right answer, word for word: a verifiable reward (Lambert et al. 2024, section 6)."""

from __future__ import annotations

from typing import Any

from tunesmith.examples import final
from tunesmith.rewards import REWARDS, AnswerReward, Row, bare
from tunesmith.settings.spec import Spec, Word


@REWARDS.register
class Exact(AnswerReward):
    """1 where the answer is the right one, else 0."""

    class Config(Spec):
        """What the answer is compared with."""

        column: Word = "answer"
        """The column that holds the right answer."""
        strict: bool = False
        """Whether case, and marks at the ends (``Positive.``), make it another answer."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the right answer."""
        return (self.config.column,)

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns 1 or 0."""
        written, wanted = final(completion), str(row[self.config.column]).strip()
        same: Any = (lambda text: text) if self.config.strict else bare
        return float(same(written) == same(wanted))
