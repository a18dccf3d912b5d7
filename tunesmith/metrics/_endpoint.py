"""A model behind an endpoint that is asked one thing at a time, for judges of answers."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.settings.teacher import has_host
from tunesmith.words import say

if TYPE_CHECKING:
    import httpx

MOST_TOKENS = 512
"""Room for a judge that explains itself before it decides."""
TRIES = 3
PATIENCE, REACHED = 300.0, 10.0
"""Seconds for one reply, after which the judge has said nothing, and those in which it must be
reached: a host that is off often refuses nothing and says nothing.
"""


@dataclass(frozen=True)
class Said:
    """A reply, without the thinking before it, and what it cost."""

    text: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Asker:
    """Where a judge is asked, ``https://HOST/v1``, and the variable with the key."""

    url: str
    model: str
    key_env: str

    def check(self) -> None:
        """Raises SpecError where the address is none."""
        if not has_host(self.url):
            raise SpecError(Problem("url", say("rewards.no_address", url=repr(self.url))))

    def client(self) -> httpx.Client:
        """Opens the connection; several threads may ask through it."""
        import httpx

        key = os.environ.get(self.key_env, "").strip()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(PATIENCE, connect=REACHED)
        return httpx.Client(headers=headers, timeout=timeout)

    def ask(self, client: httpx.Client, text: str) -> Said:
        """Returns the reply; asks again where the endpoint is busy or broken for a moment. Raises
        httpx.HTTPError, ValueError, LookupError or TypeError where there is none.
        """
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
        }
        url = f"{self.url.rstrip('/')}/chat/completions"
        response = client.post(url, json=body)
        for attempt in range(1, TRIES):
            if response.status_code != 429 and response.status_code < 500:
                break
            time.sleep(attempt)
            response = client.post(url, json=body)
        response.raise_for_status()
        reply = response.json()
        said = str(reply["choices"][0]["message"]["content"]).rpartition("</think>")[2]
        used = reply.get("usage") or {}
        return Said(said, int(used.get("prompt_tokens", 0)), int(used.get("completion_tokens", 0)))


def why(error: Exception) -> str:
    """Says in a few words why ``Asker.ask`` raised."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return say("metrics.judge_status", status=error.response.status_code)
    if isinstance(error, httpx.HTTPError):
        return str(error) or type(error).__name__
    return say("metrics.judge_no_reply")
