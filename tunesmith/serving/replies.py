"""Answers in the form of OpenAI's API, whole and in pieces."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.models.calling.wording import BROKEN
from tunesmith.plain import JsonObject
from tunesmith.serving.calls import calls_in
from tunesmith.serving.requests import ChatRequest, Written
from tunesmith.serving.rows import Likely, Row, Told


@dataclass
class Choice:
    """What has come of one answer."""

    text: str = ""
    likely: list[Likely] = field(default_factory=list)
    finish: str | None = None

    def add(self, told: Told) -> None:
        """Takes up a step."""
        self.text += told.text
        if told.likely is not None:
            self.likely.append(told.likely)
        self.finish = told.finish or self.finish


class Reply:
    """The answer to one request for text."""

    def __init__(self, request: Written, name: str, rows: Sequence[Row], told: Tokenizer) -> None:
        self.request, self.rows, self.tokenizer = request, rows, told
        self.chat = isinstance(request, ChatRequest)
        kind = "chatcmpl" if self.chat else "cmpl"
        self.head = {
            "id": f"{kind}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": name,
        }
        self.choices = [Choice() for _ in rows]
        tools = request.tools if isinstance(request, ChatRequest) else None
        self.names = {str(_named(tool)) for tool in tools or ()}
        """Tools that may be called: an answer is then known only when it is whole."""

    def usage(self) -> JsonObject:
        """Counts tokens; the prompt of several answers once."""
        asked = sum(len(row.prompt) for row in self.rows if row.after is None)
        written = sum(row.written for row in self.rows)
        cached = sum(row.cached for row in self.rows if row.after is None)
        return {
            "prompt_tokens": asked,
            "completion_tokens": written,
            "total_tokens": asked + written,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def whole(self) -> JsonObject:
        """Returns the answer as one object."""
        kind = "chat.completion" if self.chat else "text_completion"
        choices = [self._choice(index, choice) for index, choice in enumerate(self.choices)]
        return {**self.head, "object": kind, "choices": choices, "usage": self.usage()}

    def begin(self) -> Iterator[str]:
        """Yields the first events of a stream: whose turn it is."""
        if self.chat:
            for index in range(len(self.rows)):
                yield self._event(index, {"role": "assistant", "content": ""}, None, None)

    def piece(self, place: int, told: Told) -> Iterator[str]:
        """Yields the events of a step."""
        choice = self.choices[place]
        choice.add(told)
        if self.names:
            if told.finish:
                message, finish = self._message(choice)
                calls = message.pop("tool_calls", [])
                calls = [{"index": n, **call} for n, call in enumerate(calls)]
                delta = {**message, **({"tool_calls": calls} if calls else {})}
                yield self._event(place, delta, None, finish)
            return
        likely = [told.likely] if told.likely is not None else []
        if told.text or likely or told.finish:
            text = {"content": told.text} if told.text or not told.finish else {}
            logprobs = self._likelihoods(likely) if likely else None
            yield self._event(place, text if self.chat else told.text, logprobs, told.finish)

    def end(self) -> Iterator[str]:
        """Yields the last events of a stream."""
        options = self.request.stream_options
        if options is not None and options.include_usage:
            kind = "chat.completion.chunk" if self.chat else "text_completion"
            yield event({**self.head, "object": kind, "choices": [], "usage": self.usage()})
        yield "data: [DONE]\n\n"

    def _choice(self, place: int, choice: Choice) -> JsonObject:
        asked = self.rows[place].likely is not None
        logprobs = self._likelihoods(choice.likely) if asked else None
        if not self.chat:
            fields = {"text": choice.text, "finish_reason": choice.finish}
            return {"index": place, **fields, "logprobs": logprobs}
        message, finish = self._message(choice)
        message = {"role": "assistant", "refusal": None, **message}
        return {"index": place, "message": message, "logprobs": logprobs, "finish_reason": finish}

    def _message(self, choice: Choice) -> tuple[JsonObject, str | None]:
        text, calls = calls_in(choice.text, self.names) if self.names else (choice.text, [])
        if not calls:
            return {"content": text}, choice.finish
        return {"content": text or None, "tool_calls": calls}, "tool_calls"

    def _event(
        self, place: int, told: JsonObject | str, logprobs: JsonObject | None, finish: str | None
    ) -> str:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        key = "delta" if self.chat else "text"
        choice = {"index": place, key: told, "logprobs": logprobs, "finish_reason": finish}
        return event({**self.head, "object": kind, "choices": [choice]})

    def _likelihoods(self, likely: Sequence[Likely]) -> JsonObject:
        if self.chat:
            return {"content": [self._token(token) for token in likely], "refusal": None}
        texts = [self._text(token.token) for token in likely]
        lengths = [0, *map(len, texts)]
        return {
            "tokens": texts,
            "token_logprobs": [token.logprob for token in likely],
            "top_logprobs": [{self._text(t): p for t, p in token.top} for token in likely],
            "text_offset": [sum(lengths[: n + 1]) for n in range(len(texts))],
        }

    def _token(self, one: Likely) -> JsonObject:
        top = [self._one(token, logprob) for token, logprob in one.top]
        return {**self._one(one.token, one.logprob), "top_logprobs": top}

    def _one(self, token: int, logprob: float) -> JsonObject:
        text = self._text(token)
        code_units = None if BROKEN in text else list(text.encode())
        # JSON has no minus infinity.
        return {"token": text, "logprob": max(logprob, -9999.0), "bytes": code_units}

    def _text(self, token: int) -> str:
        return self.tokenizer.decode([token], clean_up_tokenization_spaces=False)


def _named(tool: JsonObject) -> object:
    inner = tool.get("function", tool)
    return inner.get("name") if isinstance(inner, dict) else None


def event(told: JsonObject) -> str:
    """Returns an object as an event of a stream."""
    return f"data: {json.dumps(told, ensure_ascii=False)}\n\n"
