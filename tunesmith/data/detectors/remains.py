"""Rows in whose texts a chat template was left: ``<|im_end|>``, ``[INST]``, ``### Response:``, or a
further turn that begins with ``Human:``.
"""

from __future__ import annotations

import re

from tunesmith.examples import Example, chats_of
from tunesmith.words import say, some

_MARKS = re.compile(
    r"<\|(?:im_start|im_end|im_sep|user|assistant|system|end|eot_id|start_header_id|end_header_id)\|>"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|<｜(?:User|Assistant)｜>"
    r"|^#{2,3} ?(?:Instruction|Response|Input|Human|Assistant|指令|回答|输入) ?[:：]",
    re.MULTILINE,
)
_SPEAKERS = re.compile(
    r"\n\s*(?:Human|User|Assistant|用户|助手|助理|患者|医生) ?[:：]", re.IGNORECASE
)
_ENOUGH = 0.5
"""Above this share of the rows further turns are how the rows are written: dialogues."""


class Remains:
    """The rows with marks of a template, and those with further turns."""

    def __init__(self) -> None:
        self.rows = 0
        self.marks: list[str] = []
        self.turns: list[str] = []

    def add(self, where: str, example: Example) -> None:
        """Looks at the turns of one row; a further turn is looked for in answers alone."""
        self.rows += 1
        turns = [turn for chat in chats_of(example) for turn in chat.turns]
        if any(_MARKS.search(turn.content) for turn in turns):
            self.marks.append(where)
        elif any(_SPEAKERS.search(turn.content) for turn in turns if turn.role == "assistant"):
            self.turns.append(where)

    def notes(self) -> list[str]:
        """Returns a line for the marks, and one for the turns."""
        found = {"marks": self.marks}
        if len(self.turns) <= _ENOUGH * self.rows:
            found["turns"] = self.turns
        return [
            say(f"detect.{kind}", number=len(places), places=some(places))
            for kind, places in found.items()
            if places
        ]
