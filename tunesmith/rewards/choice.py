"""The right letter of a multiple choice, wherever the answer names it."""

from __future__ import annotations

from tunesmith.examples import final
from tunesmith.metrics._letters import letter_in
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec, Word


@REWARDS.register
class Choice(AnswerReward):
    """1 where the answer names the right option by its letter, else 0."""

    class Config(Spec):
        """Which option is right."""

        column: Word = "answer"
        """The column with the right letter, or a text that begins with it (``B. Paris``)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the right answer."""
        return (self.config.column,)

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns 1 or 0; None where the row itself names no letter."""
        wanted = letter_in(str(row[self.config.column]))
        return None if wanted is None else float(letter_in(final(completion)) == wanted)
