"""What a language model behind an endpoint says of an answer: a number out of ``best``, by criteria
in your own words (Zheng et al. 2023, single-answer grading).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.errors import TunesmithError
from tunesmith.metrics._endpoint import Asker
from tunesmith.metrics._number import number_in
from tunesmith.rewards import REWARDS, AnswerReward, Asked
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import httpx


@REWARDS.register
class Judge(AnswerReward):
    """The grade that a model behind an endpoint gives an answer, between 0 and 1."""

    class Config(Spec):
        """Who judges, and by what."""

        url: str
        """The endpoint, ``https://HOST/v1``."""
        model: str
        """The name of the model there."""
        criteria: str = "How well does the answer serve the person who asked?"
        """What is judged, in your words."""
        best: Annotated[int, Gt(0)] = 10
        """The best grade; the worst is 0."""
        key_env: str = "OPENAI_API_KEY"
        """The environment variable that holds the key; without it none is sent."""
        requests: Annotated[int, Gt(0)] = 8
        """Answers that are judged at a time."""

    @property
    def at_once(self) -> int:
        """The number of requests."""
        return self.config.requests

    def load(self) -> None:
        """Raises SpecError where the address is none."""
        self._asker().check()

    def _asker(self) -> Asker:
        return Asker(self.config.url, self.config.model, self.config.key_env)

    def rewards(self, answers: Sequence[Asked]) -> list[float | None]:
        """Returns the grades; None where the judge gave none. Raises where it judged none of
        several answers because it could not be reached.
        """
        import httpx

        failed: list[str] = []
        with self._asker().client() as client:

            def grade(asked: Asked) -> float | None:
                try:
                    return self._grade(client, asked)
                except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
                    failed.append(f"{type(error).__name__}: {error}")
                    return None

            with ThreadPoolExecutor(self.config.requests) as pool:
                grades = list(pool.map(grade, answers))
        if len(failed) == len(answers):
            raise TunesmithError(say("rewards.judge_silent", url=self.config.url, told=failed[0]))
        return grades

    def _grade(self, client: httpx.Client, one: Asked) -> float | None:
        config = self.config
        turns = [str(turn["content"]) for turn in one.turns] or [one.prompt]
        asked = {"prompt": "\n\n".join(turns), "answer": one.completion, "best": config.best}
        text = say("rewards.judge_asks", criteria=config.criteria, **asked)
        said = self._asker().ask(client, text).text
        # "8/10" is eight, and no fraction.
        last = re.sub(rf"\s*(?:/|out of)\s*{config.best}\b", "", said)
        grade = number_in(last)
        if grade is None or not 0 <= grade <= config.best:
            return None
        return grade / config.best
