"""The right letter of a multiple choice, wherever the answer names it."""

from __future__ import annotations

import re

from tunesmith.examples import final
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec

_SAID = re.compile(
    r"(?:answer|option|choice|答案|选项|应选|选择|故选|选)\s*(?:is|are|应该是|应为|是|为)?\s*[:：]?\s*[*(（【\[]*([A-Ja-j])(?![A-Za-z])",
    re.IGNORECASE,
)
_FIRST = re.compile(r"^[\s*(（【\[]*([A-Ja-j])(?![A-Za-z'’])")
_ALONE = re.compile(r"(?<![A-Za-z])([A-J])(?![A-Za-z'’])")


@REWARDS.register
class Choice(AnswerReward):
    """1 where the answer names the right option by its letter, else 0."""

    class Config(Spec):
        """Which option is right."""

        column: str = "answer"
        """The column with the right letter, or a text that begins with it (``B. Paris``)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column of the right answer."""
        return (self.config.column,)

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns 1 or 0; None where the row itself names no letter."""
        wanted = letter_in(str(row[self.config.column]))
        return None if wanted is None else float(letter_in(final(completion)) == wanted)


def letter_in(text: str) -> str | None:
    """Returns the letter that a text decides for: the last one after "answer is", else one at its
    beginning, else the only one that stands alone.
    """
    said = _SAID.findall(text)
    if said:
        return said[-1].upper()
    if first := _FIRST.match(text):
        return first[1].upper()
    alone = set(_ALONE.findall(text))
    return alone.pop() if len(alone) == 1 else None
