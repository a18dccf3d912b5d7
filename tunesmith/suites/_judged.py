"""A model behind an endpoint says of each answer which letter it deserves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from tunesmith.errors import FAULTS
from tunesmith.metrics._endpoint import Asker, Said, why
from tunesmith.metrics._grades import Store
from tunesmith.metrics._letters import letter_in
from tunesmith.plain import JsonObject
from tunesmith.words import say

AT_ONCE = 8
"""Requests at a time."""
GIVE_UP = 20
"""Requests that all fail, after which the judge is asked nothing more."""


def letters(
    asker: Asker, texts: Sequence[str], kept: Store, progress: Callable[[int, int], None]
) -> list[tuple[str | None, str]]:
    """Returns the letter of each text's reply, or None and why there is none. What was asked before
    is not asked again.
    """
    import httpx

    names = {text: f"{asker.url} {asker.model} {text}" for text in texts}
    said: list[tuple[str | None, str]] = []
    failed, fault = 0, ""
    with asker.client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
        coming = {
            text: pool.submit(asker.ask, client, text)
            for text, name in names.items()
            if name not in kept
        }
        for text in texts:
            try:
                reply = kept.value(names[text], partial(_told, coming.get(text)))
            except (httpx.HTTPError, *FAULTS) as error:
                failed += 1
                fault = say("metrics.judge_failed", url=asker.url, told=why(error))
                said.append((None, fault))
            else:
                said.append((letter_in(reply["text"]), repr(reply["text"][:60])))
            if failed == GIVE_UP == len(said):
                pool.shutdown(wait=False, cancel_futures=True)
                break
            progress(len(said), len(texts))
    return said + [(None, fault)] * (len(texts) - len(said))


def _told(asked: Future[Said] | None) -> JsonObject:
    assert asked is not None, "what is not kept was asked"
    return vars(asked.result())
