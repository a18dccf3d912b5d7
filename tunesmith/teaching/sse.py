"""The answer in a reply of ``/chat/completions``: streamed as server-sent events, or whole where a
server does not stream.

An answer is one only with its ``finish_reason``: a stream that ends before it was cut, however it
ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from tunesmith.teaching.written import Written, written
from tunesmith.words import say

if TYPE_CHECKING:
    import httpx

REFUSED = ("content_filter", "tool_calls", "function_call")
"""Reasons to finish that are no answer in words."""


class Cut(Exception):
    """A reply that is no whole answer; ``str()`` says why."""


@dataclass
class _Answer:
    """The pieces of an answer as they come."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    refusal: bool = False
    reason: str | None = None
    told: int | None = None
    """Tokens of the answer, where the server says them."""

    def take(self, event: object) -> None:
        """Takes one event, or a whole reply."""
        if not isinstance(event, dict):
            raise Cut(say("generate.cut_odd"))
        if event.get("error"):
            raise Cut(message_of(event))
        if event.get("usage"):
            self.told = event["usage"].get("completion_tokens")
        for choice in event.get("choices") or ():
            said = choice.get("delta") or choice.get("message") or {}
            self.texts += [said["content"]] if said.get("content") else []
            thought = said.get("reasoning_content") or said.get("reasoning")
            self.thoughts += [thought] if isinstance(thought, str) and thought else []
            self.refusal |= bool(said.get("refusal"))
            self.reason = choice.get("finish_reason") or self.reason

    def done(self) -> Written:
        """Returns the whole answer; raises Cut where its end is missing. Where a server counts no
        tokens, the pieces are counted.
        """
        if self.reason is None:
            raise Cut(say("generate.cut_end"))
        tokens = self.told if self.told is not None else len(self.texts) + len(self.thoughts)
        if self.refusal or self.reason in REFUSED:
            return Written("", "refused", tokens)
        thought = "".join(self.thoughts) or None
        return written(
            "".join(self.texts), cut=self.reason == "length", tokens=tokens, reasoning=thought
        )


def answer_of(response: httpx.Response) -> Written:
    """Reads a reply with status 200; raises Cut where it is not whole."""
    answer = _Answer()
    try:
        if "json" in response.headers.get("content-type", ""):
            answer.take(json.loads(response.read()))
        else:
            for data in events_of(response):
                answer.take(json.loads(data))
    except (ValueError, TypeError, AttributeError):
        raise Cut(say("generate.cut_odd")) from None
    return answer.done()


def events_of(response: httpx.Response) -> Iterator[bytes]:
    """Yields the data of each event; httpx's own lines would also end at U+2028, which may occur in
    a text.
    """
    rest = b""
    for piece in chain(response.iter_bytes(), [b"\n"]):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            data = line[5:].strip() if line.startswith(b"data:") else b""
            if data == b"[DONE]":
                return
            if data:
                yield data


def message_of(body: Any) -> str:
    """Returns a server's own words about what is wrong, from its JSON or its text."""
    if isinstance(body, bytes):
        try:
            body = json.loads(body)
        except ValueError:
            body = body.decode("utf-8", "replace")
    for name in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(name):
            body = body[name]
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return " ".join(text.split())[:300]
