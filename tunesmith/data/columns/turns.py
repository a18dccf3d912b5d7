"""What the readers share: a field's text, who a speaker is, pairs and prefixed lines to turns, tool
calls in OpenAI's form.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from tunesmith.data.columns.cells import printed_objects
from tunesmith.errors import DataError, Problem
from tunesmith.examples import MediaKind, Role, Turn
from tunesmith.plain import JsonObject, Row
from tunesmith.words import say

LISTS = frozenset({"messages", "conversations", "history", "tools", "pos", "neg", "negatives"}) | {
    *("ranked", "scored", "scores", "ranks", "conversation_a", "conversation_b"),
    *("tokens", "words", "chars", "characters", "tags", "ner_tags", "bio", "bio_tags"),
    *("entities", "spans", "annotations", "实体"),
}
"""Fields whose value is a list by nature; a one-element list in any other field is unwrapped."""
TURNS = (
    "messages",
    "conversations",
    "conversation",
    "dialogue",
    "dialog",
    "dialogs",
    "chat",
    "turns",
    "contents",
)
"""Columns in which conversations are found."""
SYSTEM = (
    *("system", "system_prompt", "system_message", "meta_instruction"),
    *("systemInstruction", "system_instruction"),
)
"""Columns that hold a row's own system prompt."""
MEDIA: dict[MediaKind, tuple[str, ...]] = {
    "image": ("images", "image"),
    "video": ("videos", "video"),
    "audio": ("audios", "audio"),
}
"""Columns that list what the marks in a row's turns stand for."""
PICTURES = frozenset(name for names in MEDIA.values() for name in names)
ANOTHER_TASK = frozenset({"chosen", "rejected", "rejected_response", "kto_tag"}) | PICTURES
"""Columns of preference and picture rows: read as a plain conversation they would lose their
meaning.
"""
NUMBERS = frozenset({"margin", "label", "labels", "kto_tag", "similarity", "score", "better"})
"""Fields that hold a number or a truth value by nature; in any other field one is written out as
text.
"""
CHOICES = frozenset({"options", "choices", "choice0", "option_a", "A"})
"""Columns of multiple-choice rows: question and answer alone make no sense there."""

_USERS = (
    "user human usr customer client patient student prompter seeker buyer question q "
    "用户 客户 患者 病人 学生 顾客 来访者 咨询者 求助者 提问者 买家 "
    "问"
)
_ASSISTANTS = (
    "assistant gpt bot chatbot sys agent model ai chatgpt bard doctor lawyer teacher therapist "
    "counselor supporter seller answer a function_call tool_call "
    "助手 助理 客服 人工客服 智能客服 坐席 律师 医生 老师 机器人 咨询师 专家 卖家 答"
)
_SPEAKERS: dict[str, Role] = {
    **dict.fromkeys(_USERS.split(), "user"),
    **dict.fromkeys(_ASSISTANTS.split(), "assistant"),
    **dict.fromkeys(("system", "developer", "系统"), "system"),
    **dict.fromkeys(
        ("tool", "function", "observation", "tool_response", "ipython", "action", "工具"), "tool"
    ),
}
_HALF = re.compile("[\ud800-\udfff]")
_MARKED = re.compile(
    r"^\s*(?:\[([^\]]{1,12})\]|【([^】]{1,12})】|<([^>]{1,12})>\s*[:：]|([^\s:：]{1,12})[:：])\s*"
)

_INSIDE = re.compile(
    r"<(user|human|bot|assistant|gpt|用户|客户|患者|助手|医生|律师)>\s*[:：]\s*", re.IGNORECASE
)


def field_problem(field: str, key: str, **values: object) -> DataError:
    """Makes the error for one field of a row; the caller adds file and row."""
    return DataError(Problem(field, say(key, **values)))


def shown(value: object, length: int = 40) -> str:
    """Returns a value as an error shows it: on one line, shortened to ``length``."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= length else text[:length] + "…"


def no_number(value: object) -> bool:
    """Tells whether this is the NaN or infinity that tables and pandas write for a missing
    value.
    """
    return isinstance(value, float) and not math.isfinite(value)


def kind_of(value: object) -> str:
    """Returns what a person calls a value of JSON: a list, an object, a text."""
    called = {str: "text", list: "list", dict: "object", bool: "truth", int: "number"}
    return say(f"reader.kind_{called.get(type(value), 'other')}")


def as_text(value: object, field: str) -> str:
    """Returns a value as text: None, NaN and infinity become empty, numbers and truth values are
    written out; raises DataError for anything else.
    """
    if value is None or no_number(value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise field_problem(field, "reader.not_text", kind=kind_of(value), seen=shown(value))
    if _HALF.search(value):
        raise field_problem(field, "reader.half_letter")
    return value


def text_of(row: Row, *names: str, required: bool = True) -> str:
    """Returns the text of the first of ``names`` that the row has; empty where it is null, or
    absent and not required.
    """
    for name in names:
        if name in row:
            return as_text(row[name], name)
    if required:
        raise field_problem(names[0], "reader.absent", columns=", ".join(map(str, row)))
    return ""


def system_turn(row: Row) -> list[Turn]:
    """Returns the row's own system prompt as a turn; none where it has none."""
    name = next((name for name in SYSTEM if name in row), SYSTEM[0])
    value = row.get(name)
    value = value.get("parts") if isinstance(value, dict) and "parts" in value else value
    listed = value if isinstance(value, list) else [value]
    texts = [part["text"] if isinstance(part, dict) and "text" in part else part for part in listed]
    text = "\n\n".join(as_text(part, name) for part in texts)
    return [Turn("system", text)] if text.strip() else []


def role_of(speaker: object, field: str) -> Role:
    """Returns the role that a speaker's name means; raises DataError for an unknown speaker."""
    role = _SPEAKERS.get(str(speaker).strip().lower())
    if role is None:
        speakers = (
            "user, human, customer, 用户 / assistant, gpt, agent, 助手 / system / tool, observation"
        )
        raise field_problem(field, "reader.speaker", seen=shown(speaker), known=speakers)
    return role


def spoken(value: object, field: str) -> Turn:
    """Reads a turn from ``[speaker, text]`` or from a text that begins with ``[speaker]`` or
    ``speaker:``.
    """
    if isinstance(value, list) and len(value) == 2:
        return Turn(role_of(value[0], field), as_text(value[1], field))
    mark = _MARKED.match(value) if isinstance(value, str) else None
    if mark is None or not isinstance(value, str):
        raise field_problem(field, "reader.turn", seen=shown(value))
    return Turn(role_of(next(filter(None, mark.groups())), field), value[mark.end() :])


def is_speaker(name: Any) -> bool:
    """Tells whether a name is that of a known speaker."""
    return str(name).strip().lower() in _SPEAKERS


def is_spoken(value: object) -> bool:
    """Tells whether ``spoken`` can read this value and knows its speaker."""
    try:
        spoken(value, "")
    except DataError:
        return False
    return True


def inside(text: str) -> list[Turn]:
    """Reads the turns of a dialogue in one text, ``<user>: … <bot>: … <user>: …``; none where the
    text is not one.
    """
    parts = _INSIDE.split(text)
    if len(parts) < 3 or parts[0].strip():
        return []
    turns = [
        Turn(role_of(who, ""), said.strip())
        for who, said in zip(parts[1::2], parts[2::2], strict=True)
    ]
    return turns if turns[0].role == turns[-1].role == "user" else []


def json_of(value: object, field: str) -> Any:
    """Returns a value, parsed where it is given as its JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise field_problem(field, "reader.not_json", error=error, seen=shown(value)) from None


def tool_calls(value: object, field: str) -> tuple[JsonObject, ...]:
    """Calls in OpenAI's form, arguments as an object, from that form or from ``{"name": …,
    "arguments": …}``.
    """
    parsed = json_of(value, field)
    made: list[dict[str, object]] = []
    for call in parsed if isinstance(parsed, list) else [parsed]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise field_problem(field, "reader.call", seen=shown(call))
        arguments = json_of(function.get("arguments") or {}, field)
        call_told = {
            "type": "function",
            "function": {"name": function["name"], "arguments": arguments},
        }
        # Templates that match results to calls need the id.
        made.append({"id": call["id"], **call_told} if call.get("id") else call_told)
    return tuple(made)


def tools_of(row: Row) -> tuple[dict[str, object], ...]:
    """Reads the row's tools, given as a list or as JSON text, into OpenAI's form."""
    value = row.get("tools", row.get("functions"))
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    parsed = json_of(value, "tools")
    made: list[dict[str, object]] = []
    listed = parsed if isinstance(parsed, list) else [parsed]
    for tool in [declared for given in listed for declared in _declared(given)]:
        tool = json_of(tool, "tools")
        if not isinstance(tool, dict) or not isinstance(tool.get("function", tool), dict):
            raise field_problem("tools", "reader.tool", seen=shown(tool))
        made.append(tool if "function" in tool else {"type": "function", "function": tool})
    return tuple(made)


def _declared(tool: object) -> list[Any]:
    """Returns the functions of one tool, in the words of OpenAI: Gemini lists several in one,
    Anthropic calls their parameters an input schema.
    """
    fields = tool if isinstance(tool, dict) else {}
    several = fields.get("functionDeclarations", fields.get("function_declarations"))
    if isinstance(several, list):
        return several
    if "input_schema" not in fields:
        return [tool]
    return [{"parameters" if key == "input_schema" else key: fields[key] for key in fields}]


def json_list(value: object) -> list[Any] | None:
    """Returns a list, parsed where a table holds it as JSON text, or as objects that Python or
    numpy printed, which is what pandas writes; None for anything else.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return printed_objects(value)
    return value if isinstance(value, list) else None
