"""Answers in one language: the share of its letters (DeepSeek-AI 2025, section 2.3.2)."""

from __future__ import annotations

from typing import Literal

from tunesmith.metrics import has_han, has_kana
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec


@REWARDS.register
class Language(AnswerReward):
    """The share of the answer's letters that are of a language's script, 0 to 1."""

    class Config(Spec):
        """The language."""

        language: Literal["zh", "en", "ja"]
        """zh counts Chinese characters, ja these and kana, en Latin letters (of English as of any
        other language that is written with them).
        """

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns a reward between 0 and 1; 0 for an answer without letters."""
        letters = [letter for letter in completion if letter.isalpha()]
        wanted = self.config.language
        counted = sum(
            (wanted == "en" and letter.isascii())
            or (wanted in ("zh", "ja") and has_han(letter))
            or (wanted == "ja" and has_kana(letter))
            for letter in letters
        )
        return counted / len(letters) if letters else 0.0
