"""A reply is an answer only when it is whole, however the bytes are cut on their way."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tunesmith.teaching.sse import Cut, answer_of, events_of, message_of


def chunk(**said: Any) -> dict[str, Any]:
    reason = said.pop("finish_reason", None)
    return {"choices": [{"delta": said, "finish_reason": reason}]}


def streamed(*events: Any, cut_at: int = 7) -> httpx.Response:
    """A stream of such events, in pieces that end anywhere."""
    lines = [f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in events]
    data = "".join(lines).encode()
    pieces = [data[start : start + cut_at] for start in range(0, len(data), cut_at)]
    return httpx.Response(200, content=iter(pieces))


@pytest.mark.parametrize("cut_at", [1, 3, 1000])
def test_a_stream_is_joined_wherever_it_is_cut(cut_at: int) -> None:
    text = ["一", " two\u2028", "three"]
    events = [chunk(content=one) for one in text]
    reply = streamed(*events, chunk(finish_reason="stop"), "[DONE]", "not JSON", cut_at=cut_at)
    answer = answer_of(reply)
    assert (answer.text, answer.finish, answer.tokens) == ("一 two\u2028three", "stop", 3)


def test_thinking_is_kept_apart_and_the_servers_own_count_is_taken() -> None:
    said = [chunk(reasoning_content="hm"), chunk(content="Rome"), chunk(finish_reason="length")]
    answer = answer_of(streamed(*said, {"choices": [], "usage": {"completion_tokens": 9}}))
    assert (answer.text, answer.reasoning, answer.finish, answer.tokens) == (
        "Rome",
        "hm",
        "length",
        9,
    )


def test_a_server_that_does_not_stream_answers_whole() -> None:
    body = {"choices": [{"message": {"content": "Rome"}, "finish_reason": "stop"}]}
    assert answer_of(httpx.Response(200, json=body)).text == "Rome"


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls"])
def test_what_is_no_answer_in_words_is_refused(reason: str) -> None:
    answer = answer_of(streamed(chunk(content="I will"), chunk(finish_reason=reason)))
    assert (answer.text, answer.finish) == ("", "refused")


@pytest.mark.parametrize(
    "events",
    [
        [chunk(content="half")],
        [chunk(content="half"), "[DONE]"],
        [chunk(content="half"), {"error": {"message": "out of memory"}}],
        ["[1]"],
        ["{"],
        [{"choices": [{"delta": "text"}]}],
    ],
)
def test_a_reply_that_is_not_whole_is_none(events: list[Any]) -> None:
    with pytest.raises(Cut):
        answer_of(streamed(*events))


def test_comments_and_other_fields_are_no_data() -> None:
    reply = httpx.Response(200, content=b": alive\nevent: x\ndata: 1\r\n\ndata:2")
    assert list(events_of(reply)) == [b"1", b"2"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": {"message": "no  such\\nmodel", "type": "x"}}', "no such model"),
        (b'{"detail": "not allowed"}', "not allowed"),
        (b"<html>\n 502", "<html> 502"),
        ({"detail": [{"loc": ["n"]}]}, '[{"loc": ["n"]}]'),
    ],
)
def test_a_servers_own_words_are_found(body: Any, told: str) -> None:
    assert message_of(body) == told
