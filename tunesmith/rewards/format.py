"""A form that the answer must have, as a regular expression (DeepSeek-AI 2025, section 2.2.2)."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from tunesmith.rewards import REWARDS, AnswerReward, Row
from tunesmith.settings.spec import Spec
from tunesmith.words import say


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        told = say("rewards.bad_pattern", pattern=repr(pattern), error=str(error))
        raise PydanticCustomError("choice", "{text}", {"text": told}) from None
    return pattern


@REWARDS.register
class Format(AnswerReward):
    """1 where the answer has the form, else 0."""

    class Config(Spec):
        """The form."""

        pattern: Annotated[str, AfterValidator(_compiles)]
        """Regular expression for the whole answer, white space around it aside; a dot takes line
        ends too: ``<think>.+</think>.+``.
        """

    def reward(self, prompt: str, completion: str, row: Row) -> float | None:
        """Returns 1 or 0."""
        return float(re.fullmatch(self.config.pattern, completion.strip(), re.DOTALL) is not None)
