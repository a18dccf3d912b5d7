"""What the readers share: a field's text, who a speaker is, pairs and prefixed lines to turns, tool
calls in OpenAI's form.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from tunesmith.data.columns.cells import SAID, SPEAKERS, as_json, printed_objects
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Media, MediaKind, Role, Turn
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
)
"""Columns in which conversations are found."""
SYSTEM = ("system", "system_prompt", "system_message", "meta_instruction")
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
    "user human usr customer client patient student prompter question q "
    "用户 客户 患者 病人 学生 顾客 来访者 咨询者 "
    "问"
)
_ASSISTANTS = (
    "assistant gpt bot sys agent model ai chatgpt bard doctor lawyer teacher answer a "
    "function_call tool_call "
    "助手 助理 客服 律师 医生 老师 机器人 咨询师 答"
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
    text = text_of(row, *SYSTEM, required=False)
    return [Turn("system", text)] if text.strip() else []


def role_of(speaker: object, field: str) -> Role:
    """Returns the role that a speaker's name means; raises DataError for an unknown speaker."""
    role = _SPEAKERS.get(str(speaker).strip().lower())
    if role is None:
        known = (
            "user, human, customer, 用户 / assistant, gpt, agent, 助手 / system / tool, observation"
        )
        raise field_problem(field, "reader.speaker", seen=shown(speaker), known=known)
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


def pairs(row: Row, field: str = "history") -> list[Turn]:
    """Reads the turns of a history: pairs of question and answer, or turns that name their
    speakers.
    """
    value = row.get(field)
    history = json_list(value)
    if not value or history == []:
        return []
    if history is None:
        raise field_problem(field, "reader.not_list", kind=kind_of(value), seen=shown(value))
    turns: list[Turn] = []
    # A person may ask "doctor" or "AI": first items are speakers only where all of them are, and
    # they differ.
    named = all(map(is_spoken, history)) and len({spoken(item, field).role for item in history}) > 1
    for n, item in enumerate(history):
        where = f"{field}[{n}]"
        if isinstance(item, dict):
            turns.append(turn_of(item, where))
        elif isinstance(item, list) and len(item) == 2 and not named:
            turns += [
                Turn("user", as_text(item[0], where)),
                Turn("assistant", as_text(item[1], where)),
            ]
        else:
            turns.append(spoken(item, where))
    return turns


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


def turn_of(item: object, field: str) -> Turn:
    """Reads a turn from an object: role and content (OpenAI), or from and value (ShareGPT)."""
    if not isinstance(item, dict):
        return spoken(item, field)
    speaker = next((item[key] for key in SPEAKERS if item.get(key)), None)
    if speaker is None:
        raise field_problem(field, "reader.no_role", keys=", ".join(map(str, item)))
    role = role_of(speaker, field)
    key = next((key for key in SAID if key in item), "content")
    content, media = _content(item.get(key), f"{field}.{key}")
    calls = item.get("tool_calls") or ()
    if str(speaker).strip().lower() in ("function_call", "tool_call"):
        return Turn("assistant", "", tool_calls=tool_calls(content, f"{field}.{key}"))
    reasoning = next(
        (item[key] for key in ("reasoning_content", "reasoning", "thinking") if item.get(key)), None
    )
    weight = _weight(item.get("weight"), f"{field}.weight")
    return Turn(
        role,
        content,
        reasoning=as_text(reasoning, field) or None,
        tool_calls=tool_calls(calls, f"{field}.tool_calls") if calls else (),
        name=item.get("name") or None,
        train=_trained(item, field) if role == "assistant" else None,
        weight=weight or 1.0,  # one of 0 is not trained at all
        spans=_spans(item, content, field),
        media=media,
    )


_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _trained(item: Mapping[str, object], field: str) -> bool | None:
    """Reads from a turn's own flag whether it is trained; None where it has no such flag."""
    for key in ("train", "loss"):
        value = item.get(key)
        if value is None or no_number(value) or value == "":
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a column with gaps makes 0.0 of a 0
        found = _WORDS.get(str(value).strip().lower())
        if found is None:
            raise field_problem(f"{field}.{key}", "reader.turn_flag", seen=shown(value))
        return found
    weight = item.get("weight")
    return None if weight is None else bool(weight)


def _weight(value: object, field: str) -> float:
    """Reads a weight: OpenAI's 0 or 1, or any other number from 0 on."""
    if value is None:
        return 1.0
    if (
        isinstance(value, bool | str)
        or not isinstance(value, int | float)
        or not 0 <= value < math.inf
    ):
        raise field_problem(field, "reader.weight", seen=shown(value))
    return float(value)


def _spans(item: JsonObject, content: str, field: str) -> tuple[tuple[int, int, float], ...]:
    """Reads axolotl's ``train_detail``: parts from ``begin_offset`` to ``end_offset``, the last
    letter included, trained or not; a ``weight`` in place of ``train`` says how much.
    """
    found: list[tuple[int, int, float]] = []
    for n, part in enumerate(item.get("train_detail") or ()):
        where = f"{field}.train_detail[{n}]"
        given = part if isinstance(part, dict) else {}
        start, last = given.get("begin_offset"), given.get("end_offset")
        if not (
            isinstance(start, int) and isinstance(last, int) and 0 <= start <= last < len(content)
        ):
            raise field_problem(where, "reader.span", seen=shown(part), length=len(content))
        weight = (
            _weight(given.get("weight"), f"{where}.weight") if given.get("train", True) else 0.0
        )
        found.append((start, last + 1, weight))
    return tuple(found)


def _content(value: object, field: str) -> tuple[str, tuple[Media, ...]]:
    """Reads a message's text and its media; OpenAI also writes a message as a list of parts. An
    object is an answer in JSON.
    """
    if not isinstance(value, list):
        return as_text(as_json(value), field), ()
    text, media = "", []
    for n, part in enumerate(value):
        where = f"{field}[{n}]"
        if isinstance(part, str):
            text += as_text(part, where)
        elif isinstance(part, dict) and part.get("type") in _TEXTS:
            text += as_text(part.get("text", part.get("value")), where)
        elif isinstance(part, dict) and part.get("type") in _KINDS:
            media.append(Media(_KINDS[part["type"]], _address(part), len(text), where))
        else:
            raise field_problem(where, "reader.part", seen=shown(part))
    return text, tuple(media)


_TEXTS = ("text", "input_text", "output_text")
_KINDS: dict[object, MediaKind] = {
    **dict.fromkeys(("image", "image_url", "input_image"), "image"),
    **dict.fromkeys(("video", "video_url"), "video"),
    **dict.fromkeys(("audio", "audio_url", "input_audio"), "audio"),
}


def _address(part: JsonObject) -> str:
    """Returns where the picture or sound of a part lies; empty where another column says it."""
    value = next((part[key] for key in (part["type"], "url", "path") if part.get(key)), "")
    if isinstance(value, dict):
        value = next((value[key] for key in ("url", "path") if value.get(key)), "data:")
    return str(value)


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
    found = json_of(value, field)
    made: list[dict[str, object]] = []
    for call in found if isinstance(found, list) else [found]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise field_problem(field, "reader.call", seen=shown(call))
        arguments = json_of(function.get("arguments") or {}, field)
        one = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
        # Templates that match results to calls need the id.
        made.append({"id": call["id"], **one} if call.get("id") else one)
    return tuple(made)


def tools_of(row: Row) -> tuple[dict[str, object], ...]:
    """Reads the row's tools, given as a list or as JSON text, into OpenAI's form."""
    value = row.get("tools")
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    found = json_of(value, "tools")
    made: list[dict[str, object]] = []
    for tool in found if isinstance(found, list) else [found]:
        tool = json_of(tool, "tools")
        if not isinstance(tool, dict) or not isinstance(tool.get("function", tool), dict):
            raise field_problem("tools", "reader.tool", seen=shown(tool))
        made.append(tool if "function" in tool else {"type": "function", "function": tool})
    return tuple(made)


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
