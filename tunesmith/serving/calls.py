"""Calls of tools in an answer: as the chat template has the model write them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection

from tunesmith.plain import JsonObject

CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
"""The form of Hermes and Qwen, in which templates that show no calls are told to call, too."""


def calls_in(text: str, names: Collection[str]) -> tuple[str, list[JsonObject]]:
    """Divides an answer into its text and its calls in OpenAI's form; an answer that is nothing
    but one object with a tool's name (Llama 3) is a call too.
    """
    whole = text.strip()
    parts = [(match[0], _call(match[1], names)) for match in CALL.finditer(text)]
    calls = [call for _, call in parts if call is not None]
    if calls:
        for part, call in parts:
            text = text.replace(part, "", 1) if call is not None else text
        return text.strip(), calls
    call = _call(whole, names) if whole.startswith("{") else None
    return ("", [call]) if call is not None else (text, [])


def _call(text: str, names: Collection[str]) -> JsonObject | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("name") not in names:
        return None
    given_arguments = value.get("arguments", value.get("parameters", {}))
    arguments = (
        given_arguments
        if isinstance(given_arguments, str)
        else json.dumps(given_arguments, ensure_ascii=False)
    )
    return {
        "id": f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": value["name"], "arguments": arguments},
    }
