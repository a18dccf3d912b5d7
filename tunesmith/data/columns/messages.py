"""Messages to turns: histories in pairs, one message in OpenAI's form, ShareGPT's, or that of
another service.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tunesmith.data.columns.cells import SAID, SPEAKERS, as_json, is_number
from tunesmith.data.columns.foreign_messages import as_openai
from tunesmith.data.columns.turns import (
    as_text,
    field_problem,
    is_spoken,
    json_list,
    kind_of,
    no_number,
    role_of,
    shown,
    spoken,
    tool_calls,
)
from tunesmith.examples import Media, MediaKind, Turn
from tunesmith.plain import JsonObject, Row


def pairs(row: Row, field: str = "history") -> list[Turn]:
    """Reads the turns of a history: pairs of question and answer, or turns that name their
    speakers.
    """
    value = row.get(field)
    history = json_list(value)
    absent = isinstance(value, str) and value.strip().lower() in ("none", "null", "nan")
    if not value or history == [] or absent:
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
            turns += turns_in(item, where)
        elif isinstance(item, list) and len(item) == 2 and not named:
            turns += [
                Turn("user", as_text(item[0], where)),
                Turn("assistant", as_text(item[1], where)),
            ]
        else:
            turns.append(spoken(item, where))
    return turns


def turns_in(item: object, field: str) -> list[Turn]:
    """Reads the turns that one message means: what a tool returned stands apart."""
    return [turn_of(message, field) for message in as_openai(item)]


def turn_of(item: object, field: str) -> Turn:
    """Reads a turn from an object: role and content (OpenAI), or from and value (ShareGPT)."""
    if not isinstance(item, dict):
        return spoken(item, field)
    speaker = next((item[key] for key in SPEAKERS if item.get(key)), None)
    if speaker is None:
        raise field_problem(field, "reader.no_role", keys=", ".join(map(str, item)))
    role = role_of(speaker, field)
    if not {*SAID, *_NO_TEXT} & item.keys() and len(item) > 1:
        raise field_problem(field, "reader.no_said", keys=", ".join(map(str, item)))
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


_NO_TEXT = ("tool_calls", "reasoning_content", "reasoning", "thinking")
"""Keys of what a turn may hold in place of a text."""
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _trained(item: Mapping[str, object], field: str) -> bool | None:
    """Reads from a turn's own flag whether it is trained; None where it has no such flag."""
    for key in ("train", "loss", "trainable", "loss_mask"):
        value = item.get(key)
        if value is None or no_number(value) or value == "":
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a column with gaps makes 0.0 of a 0
        trained = _WORDS.get(str(value).strip().lower())
        if trained is None:
            raise field_problem(f"{field}.{key}", "reader.turn_flag", seen=shown(value))
        return trained
    weight = item.get("weight")
    return None if weight in (None, "") else _weight(weight, field) > 0


def _weight(value: object, field: str) -> float:
    """Reads a weight: OpenAI's 0 or 1, or any other number from 0 on, as a text too."""
    if value is None or value == "":
        return 1.0
    number = float(str(value)) if not isinstance(value, bool) and is_number(value) else -1.0
    if not 0 <= number < math.inf:
        raise field_problem(field, "reader.weight", seen=shown(value))
    return number


def _spans(item: JsonObject, content: str, field: str) -> tuple[tuple[int, int, float], ...]:
    """Reads axolotl's ``train_detail``: parts from ``begin_offset`` to ``end_offset``, the last
    letter included, trained or not; a ``weight`` in place of ``train`` says how much.
    """
    spans: list[tuple[int, int, float]] = []
    for n, part in enumerate(item.get("train_detail") or ()):
        where = f"{field}.train_detail[{n}]"
        given = part if isinstance(part, dict) else {}
        start = given.get("begin_offset")
        last = given.get("end_offset")
        if not (
            isinstance(start, int) and isinstance(last, int) and 0 <= start <= last < len(content)
        ):
            raise field_problem(where, "reader.span", seen=shown(part), length=len(content))
        weight = (
            _weight(given.get("weight"), f"{where}.weight") if given.get("train", True) else 0.0
        )
        spans.append((start, last + 1, weight))
    return tuple(spans)


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
        elif isinstance(part, dict) and (part.get("type") in _TEXTS or {*part} == {"text"}):
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
