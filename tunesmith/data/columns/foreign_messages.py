"""Messages as services and toolkits other than OpenAI's write them, in OpenAI's form: Anthropic,
Gemini, Bedrock, ChatGLM3, GLM-4, and OpenAI's own earlier one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tunesmith.data.columns.cells import SAID, SPEAKERS
from tunesmith.plain import JsonObject

_ALSO_SAID = ("parts", "sentence", "msg", "txt", "utt", "话语", "文本", "发言")
"""Keys of what a turn says where it has none of the usual ones; ``parts`` is Gemini's."""


def as_openai(item: object) -> list[Any]:
    """Returns the messages that one message means, in OpenAI's form: what a tool returned is apart
    from what is said beside it, calls and thoughts are no text. Anything else is unchanged.
    """
    if not isinstance(item, dict) or not {*SPEAKERS} & item.keys():
        return [item]
    if "observation" in item and "content" not in item:
        return _chatglm3(item)
    key = next((name for name in _ALSO_SAID if name in item), None)
    if key is not None and not {*SAID} & item.keys():
        item = {("content" if name == key else name): value for name, value in item.items()}
    called = item.get("function_call")
    if isinstance(called, Mapping) and not item.get("tool_calls"):
        return [{**_without(item, "function_call"), "tool_calls": [called]}]
    if _is_glm4(item):
        call = {"name": item["metadata"], "arguments": json.loads(item["content"])}
        return [{**_without(item, "metadata"), "content": "", "tool_calls": [call]}]
    return _divided(item) if isinstance(item.get("content"), list) else [item]


def _without(item: Mapping[str, Any], name: str) -> JsonObject:
    return {key: value for key, value in item.items() if key != name}


def _chatglm3(item: Mapping[str, Any]) -> list[Any]:
    """Returns the call of a tool and what it returned, which ChatGLM3 writes as one turn."""
    call = {"name": item.get("name"), "arguments": item.get("parameters") or {}}
    result = {**_without(item, "observation"), "content": item["observation"]}
    return [{"role": "assistant", "content": "", "tool_calls": [call]}, result]


def _is_glm4(item: Mapping[str, Any]) -> bool:
    """Tells whether an answer is the call of the tool that its ``metadata`` names."""
    name = item.get("metadata")
    arguments = item.get("content")
    if item.get("role") != "assistant" or not (isinstance(name, str) and name.strip()):
        return False
    try:
        return isinstance(arguments, str) and isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


def _divided(item: Mapping[str, Any]) -> list[Any]:
    """Divides a message whose parts are not all said; returns it unchanged where they are."""
    results: list[JsonObject] = []
    calls: list[JsonObject] = []
    thoughts: list[str] = []
    rest: list[object] = []
    for part in item["content"]:
        fields = part if isinstance(part, Mapping) else {}
        if (call := _call_in(fields)) is not None:
            calls.append(call)
        elif (result := _result_in(fields)) is not None:
            results.append({"role": "tool", **result})
        elif (thought := _thought_in(fields)) is not None:
            thoughts.append(thought)
        else:
            rest.append(part)
    if not (results or calls or thoughts):
        return [item]
    if not (rest or calls or thoughts):
        return results
    message: JsonObject = {**item, "content": rest}
    message |= {"tool_calls": calls} if calls else {}
    message |= {"reasoning_content": "\n\n".join(filter(None, thoughts))} if thoughts else {}
    return [*results, message]


def _call_in(part: Mapping[str, Any]) -> JsonObject | None:
    """Returns the call that a part holds: Anthropic's, Gemini's or Bedrock's."""
    call = part if part.get("type") == "tool_use" else None
    for key in ("functionCall", "function_call", "toolUse"):
        call = part[key] if isinstance(part.get(key), Mapping) else call
    if call is None:
        return None
    given = call.get("id", call.get("toolUseId"))
    call_told = {"name": call.get("name"), "arguments": call.get("input", call.get("args")) or {}}
    return call_told if given is None else {"id": given, **call_told}


def _result_in(part: Mapping[str, Any]) -> JsonObject | None:
    """Returns what a part says that a tool returned."""
    if part.get("type") == "tool_result":
        return {"content": part.get("content")}
    if isinstance(part.get("toolResult"), Mapping):
        return {"content": part["toolResult"].get("content")}
    for key in ("functionResponse", "function_response"):
        if isinstance(part.get(key), Mapping):
            return {"name": part[key].get("name"), "content": part[key].get("response")}
    return None


def _thought_in(part: Mapping[str, Any]) -> str | None:
    """Returns what a part says before the answer; empty where the service keeps it secret."""
    if part.get("type") in ("thinking", "redacted_thinking"):
        return str(part.get("thinking") or "")
    if part.get("thought") is True and isinstance(part.get("text"), str):
        return part["text"]
    return None
