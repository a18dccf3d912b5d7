"""A dialogue that one text writes out, with marks for who speaks, as training texts were published
before chats had columns (Guanaco, Vicuna, MOSS, Baize, ChatML).
"""

from __future__ import annotations

import re

from tunesmith.examples import Role, Turn

_USERS = ("human", "user", "instruction", "input", "inst", "用户", "问")
_ANSWERS = ("assistant", "response", "moss", "ai", "bot", "gpt", "/inst", "助手", "答")
_ROLES: dict[str, Role] = {
    **dict.fromkeys(_USERS, "user"),
    **dict.fromkeys(_ANSWERS, "assistant"),
    "system": "system",
}
_WHO = "(human|user|assistant|moss|ai|bot|gpt|system)"
_MARKS = tuple(
    re.compile(mark, flags)
    for mark, flags in (
        (r"<\|im_start\|>\s*(system|user|assistant)\s*\n", 0),
        (rf"<\|{_WHO}\|>\s*:?\s*", re.IGNORECASE),
        (rf"\[\|{_WHO}\|\]\s*:?\s*", re.IGNORECASE),
        (rf"\[{_WHO}\]\s*[:：]\s*", re.IGNORECASE),
        (r"###\s*(Human|User|Instruction|Input|Assistant|Response|System)\s*[:：]\s*", 0),
        (r"\[(/?INST)\]\s*", 0),
        (r"(?:\A|\n)\s*(Human|User|Assistant|System|用户|助手|问|答)\s*[:：]\s*", 0),
        (r"(?:\A|\s)(USER|ASSISTANT):\s*", 0),
    )
)
_ENDS = re.compile(r"<eo[hamtcr]>|</?s>|<\|im_end\|>|<\|endoftext\|>|<\|end\|>|<</?SYS>>")


def written_out(text: str) -> list[Turn]:
    """Returns the turns of a dialogue that a text writes out, what stands above the first as a
    system turn; none where the text is no such dialogue.
    """
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
            before = _ENDS.sub("", above).strip()
            return [Turn("system", before), *turns] if before else turns
    return []
