"""A dialogue that one text writes out, with marks for who speaks, as training texts were published
before chats had columns (Guanaco, Vicuna, MOSS, Baize, ChatML).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from tunesmith.examples import Role, Turn

_ASKING = ("用户", "客户", "顾客", "买家", "患者", "病人", "来访者", "咨询者", "问")
_ANSWERING = ("助手", "客服", "坐席", "卖家", "商家", "医生", "律师", "咨询师", "机器人", "答")
_SPEAKERS = (*_ASKING, *_ANSWERING)
"""Who speaks in a Chinese dialogue, at the beginning of a line."""
_USERS = ("human", "user", "instruction", "input", "inst", *_ASKING)
_ANSWERS = ("assistant", "response", "moss", "ai", "bot", "gpt", "/inst", *_ANSWERING)
_ROLES: dict[str, Role] = {
    **dict.fromkeys(_USERS, "user"),
    **dict.fromkeys(_ANSWERS, "assistant"),
    "system": "system",
    "model": "assistant",
    **dict.fromkeys(("function response", "ipython"), "tool"),
}
_WHO = "(human|user|assistant|moss|ai|bot|gpt|system)"
_MARKS = tuple(
    re.compile(mark, flags)
    for mark, flags in (
        (r"<\|im_start\|>\s*(system|user|assistant)\s*\n", 0),
        (r"<start_of_turn>\s*(user|model)\s*\n", 0),
        (r"<\|start_header_id\|>\s*(system|user|assistant|ipython)\s*<\|end_header_id\|>\s*", 0),
        (r"<｜(User|Assistant)｜>\s*", 0),
        (rf"<\|{_WHO}\|>\s*:?\s*", re.IGNORECASE),
        (rf"\[\|{_WHO}\|\]\s*:?\s*", re.IGNORECASE),
        (rf"\[{_WHO}\]\s*[:：]\s*", re.IGNORECASE),
        (r"###\s*(Human|User|Instruction|Input|Assistant|Response|System)\s*[:：]\s*", 0),
        (r"\[(/?INST)\]\s*", 0),
        (rf"(?:\A|\n)\s*(Human|User|Assistant|System|{'|'.join(_SPEAKERS)})\s*[:：]\s*", 0),
        (r"(?:\A|\s)(USER|ASSISTANT|FUNCTION RESPONSE):\s*", 0),
    )
)
_ENDS = re.compile(
    r"<eo[hamtcr]>|</?s>|<\|im_end\|>|<\|endoftext\|>|<\|end\|>|<</?SYS>>|"
    r"<bos>|<eos>|<end_of_turn>|<\|begin_of_text\|>|<\|end_of_text\|>|<\|eot_id\|>|"
    r"<｜(?:begin|end)▁of▁sentence｜>"
)

_SYSTEM = re.compile(r"<<SYS>>(.*?)<</SYS>>", re.DOTALL)
"""Where Llama 2 writes its system prompt: inside the first question."""

_ROUND = re.compile(r"^\[Round \d+\]\s*$", re.MULTILINE)
"""What ChatGLM writes above each question."""
_CALL = re.compile(
    r"<functioncall>\s*\{\s*\"name\":\s*\"(?P<name>[^\"]+)\",\s*\"arguments\":\s*"
    r"'?(?P<arguments>\{.*\})'?\s*\}\s*\Z",
    re.DOTALL,
)
"""The call of a function as Glaive writes it."""


def written_out(text: str) -> list[Turn]:
    """Returns the turns of a dialogue that a text writes out, what stands above the first as a
    system turn; none where the text is no such dialogue.
    """
    system = _SYSTEM.search(text)
    text = _ROUND.sub("", _SYSTEM.sub("", text, count=1))
    for mark in _MARKS:
        above, *parts = mark.split(text)
        turns = [
            Turn(_ROLES[who.lower()], _ENDS.sub("", said).strip())
            for who, said in zip(parts[::2], parts[1::2], strict=True)
        ]
        while turns and not turns[-1].content:
            turns.pop()
        asked = [turn for turn in turns if turn.role != "system"]
        if len(asked) > 1 and asked[0].role == "user" and asked[1].role != "system":
            if not any(turn.role == "assistant" for turn in asked):
                continue
            turns = [_with_call(turn) for turn in turns]
            instructions = [system[1] if system else "", _ENDS.sub("", above)]
            before = "\n\n".join(part.strip() for part in instructions if part.strip())
            return [Turn("system", before), *turns] if before else turns
    return []


def _with_call(turn: Turn) -> Turn:
    """Returns a turn with the call at its end as such; the turn itself where it has none."""
    call = _CALL.search(turn.content) if turn.role == "assistant" else None
    if call is None:
        return turn
    try:
        arguments = json.loads(call["arguments"])
    except ValueError:
        return turn
    called = {"name": call["name"], "arguments": arguments}
    said = turn.content[: call.start()].rstrip()
    return replace(turn, content=said, tool_calls=({"type": "function", "function": called},))
