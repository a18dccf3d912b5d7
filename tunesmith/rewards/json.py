"""An answer that a program can read: valid JSON with the keys that it needs."""

from __future__ import annotations

import json as reading
import re

from tunesmith.examples import final
from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec

_FENCED = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.DOTALL)


@REWARDS.register
class Json(AnswerReward):
    """1 for valid JSON with all the keys, less where some are missing, 0 where it is no JSON."""

    class Config(Spec):
        """What must be in it."""

        keys: tuple[str, ...] = ()
        """Keys that the object must have; each counts the same."""
        fenced: bool = False
        """Whether JSON between lines of three backticks counts too."""

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns a reward between 0 and 1: half for the form, half for the keys, where keys are
        asked for.
        """
        text = final(completion)
        fence = _FENCED.match(text) if self.config.fenced else None
        try:
            value = reading.loads(fence[1] if fence else text)
        except ValueError:
            return 0.0
        if not self.config.keys:
            return 1.0
        if not isinstance(value, dict):
            return 0.0
        there = sum(key in value for key in self.config.keys)
        return 0.5 + 0.5 * there / len(self.config.keys)
