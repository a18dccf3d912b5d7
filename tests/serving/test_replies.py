"""Answers in the form of OpenAI's API: calls of tools, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tunesmith import words
from tunesmith.errors import DataError
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.serving.limits import Limits
from tunesmith.serving.replies import Reply
from tunesmith.serving.requests import (
    ChatRequest,
    CompletionRequest,
    ReadRequest,
    parsed,
    settings,
)
from tunesmith.serving.rows import Row, Told
from tunesmith.settings.run import Generate

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = '<tool_call>{"name": "look", "arguments": {"at": "药"}}</tool_call>'


def request(**more: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **more}
    return parsed(json.dumps(body).encode(), ChatRequest)


def reply(tiny_llama, **more: Any) -> Reply:
    row = Row(np.arange(3, dtype=np.int32), Generate(), (2,), lambda told: None)
    return Reply(request(**more), "m", [row], load_tokenizer(tiny_llama))


def test_a_call_is_told_as_one_whole_and_streamed(tiny_llama):
    steps = [Told(CALL[:20]), Told(CALL[20:]), Told(finish="stop")]
    whole = reply(tiny_llama, tools=[TOOL])
    for told in steps:
        whole.choices[0].add(told)
    [choice] = whole.whole()["choices"]
    assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
    [call] = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "look", "arguments": '{"at": "药"}'}
    streamed = reply(tiny_llama, tools=[TOOL], stream=True)
    [event] = [one for told in steps for one in streamed.piece(0, told)]
    delta = json.loads(event.removeprefix("data: "))["choices"][0]["delta"]
    assert delta["tool_calls"][0]["index"] == 0
    assert delta["tool_calls"][0]["function"] == call["function"]


def test_without_tools_the_same_text_is_text(tiny_llama):
    plain = reply(tiny_llama)
    plain.choices[0].add(Told(CALL, finish="stop"))
    [choice] = plain.whole()["choices"]
    assert choice["message"]["content"] == CALL and choice["finish_reason"] == "stop"


def test_what_a_request_leaves_out_is_the_runs():
    run = Generate(temperature=0.5, top_p=0.9, max_new_tokens=7, stop=("END",), samples=3)
    how = settings(request(stop="x", top_p=0.4), run, Limits())
    assert how == run.model_copy(update={"stop": ("END", "x"), "top_p": 0.4, "samples": 1})
    assert settings(request(max_tokens=10**6), run, Limits()).max_new_tokens == 8192
    assert settings(request(max_completion_tokens=3), run, Limits()).max_new_tokens == 3


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(DataError) as caught:
        settings(request(n=9, logit_bias={"1": 2}, tool_choice="required"), Generate(), Limits())
    assert [one.where for one in caught.value.problems] == ["n", "logit_bias", "tool_choice"]


def refused(kind: Any, body: bytes) -> list[str]:
    with pytest.raises(DataError) as caught:
        parsed(body, kind)
    return [str(problem) for problem in caught.value.problems]


def test_wrong_types_are_told_in_the_language_of_the_server():
    body = {
        "messages": [4],
        "stop": [3],
        "temperature": 5,
        "stream": "perhaps",
        "response_format": {"type": "xml"},
    }
    words.use("zh")
    told = refused(ChatRequest, json.dumps(body).encode())
    assert told == [
        "temperature: 不能大于 2.0",
        "stop.0: 必须是文本",
        "stream: 只能是 true 或 false",
        "messages.0: 必须是对象",
        "response_format.type: 只能取 'text', 'json_object' 或 'json_schema'",
    ]
    assert refused(ChatRequest, b'{"messages": [], "stop": "\\ud800"}')[0].startswith(
        "stop: 半个字符"
    )
    words.use("en")
    assert refused(ChatRequest, b"{}") == ["messages: is missing"]
    assert refused(CompletionRequest, b'{"prompt": 1}') == [
        "prompt: must be a text, or must be a list"
    ]
    long = b'{"prompt": "a", "max_tokens": "' + b"9" * 5000 + b'"}'
    assert refused(CompletionRequest, long) == ["max_tokens: the number is too large"]


@pytest.mark.parametrize(
    ("kind", "name", "item"),
    [
        (ReadRequest, "input", b"1"),
        (CompletionRequest, "prompt", b"-1"),
        (ChatRequest, "messages", b"1"),
        (ChatRequest, "stop", b"1"),
    ],
)
def test_a_list_is_read_no_further_than_its_first_wrong_item(kind, name, item):
    """All faults of half a million items took 3 seconds and 1 GiB."""
    listed = b", ".join([item] * 1000)
    body = b'{"messages": [], ' * (kind is ChatRequest and name != "messages") or b"{"
    told = refused(kind, body + b'"' + name.encode() + b'": [' + listed + b"]}")
    assert len(told) == 1 and told[0].startswith(f"{name}.0: must be")
