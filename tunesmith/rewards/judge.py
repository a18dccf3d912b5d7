"""What a language model behind an endpoint says of an answer: a number out of ``best``, by criteria
in your own words (Zheng et al. 2023, single-answer grading).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.metrics._number import number_in
from tunesmith.rewards import REWARDS, AnswerReward, Asked
from tunesmith.settings.spec import Spec
from tunesmith.words import say

if TYPE_CHECKING:
    import httpx

MOST_TOKENS = 512
"""Room for a judge that explains itself before its number."""
TRIES = 3


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
        if not self.config.url.startswith(("http://", "https://")):
            raise SpecError(Problem("url", say("rewards.no_address", url=repr(self.config.url))))

    def rewards(self, answers: Sequence[Asked]) -> list[float | None]:
        """Returns the grades; None where the judge gave none. Raises where it judged none of
        several answers because it could not be reached.
        """
        import httpx

        key = os.environ.get(self.config.key_env, "").strip()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        failed: list[str] = []
        with httpx.Client(headers=headers, timeout=None) as client:

            def grade(one: Asked) -> float | None:
                try:
                    return self._grade(client, one)
                except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
                    failed.append(f"{type(error).__name__}: {error}")
                    return None

            with ThreadPoolExecutor(self.config.requests) as pool:
                found = list(pool.map(grade, answers))
        if len(failed) == len(answers):
            raise TunesmithError(say("rewards.judge_silent", url=self.config.url, told=failed[0]))
        return found

    def _grade(self, client: httpx.Client, one: Asked) -> float | None:
        config = self.config
        turns = [str(turn["content"]) for turn in one.turns] or [one.prompt]
        asked = {"prompt": "\n\n".join(turns), "answer": one.completion, "best": config.best}
        body = {
            "model": config.model,
            "messages": [
                {
                    "role": "user",
                    "content": say("rewards.judge_asks", criteria=config.criteria, **asked),
                }
            ],
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
        }
        url = f"{config.url.rstrip('/')}/chat/completions"
        for _ in range(TRIES - 1):
            response = client.post(url, json=body)
            if response.status_code != 429 and response.status_code < 500:
                break
        else:
            response = client.post(url, json=body)
        response.raise_for_status()
        said = response.json()["choices"][0]["message"]["content"]
        # "8/10" is eight, and no fraction.
        last = re.sub(
            rf"\s*(?:/|out of)\s*{config.best}\b", "", str(said).rpartition("</think>")[2]
        )
        grade = number_in(last)
        if grade is None or not 0 <= grade <= config.best:
            return None
        return grade / config.best
