"""A few rows that answer in another script: than their question, or than nearly all others."""

from __future__ import annotations

import re
from collections import defaultdict

from tunesmith.data.texts.script import script_of
from tunesmith.examples import Chat, Example
from tunesmith.words import say, some

LETTERS, FEW, ROWS = 20, 0.05, 20
"""Answers and questions with fewer characters are not looked at; up to this share of at least so
many rows is few.
"""
_ASKED = re.compile(
    "翻译|译成|译为|英文|英语|中文|汉语|日文|日语|韩语|法语|德语|俄语|西班牙语|拼音|代码|编程|函数"
    "|translat|chinese|english|japanese|korean|french|german|spanish|russian|arabic|python|code|function",
    re.IGNORECASE,
)
"""Words in a question after which another script is what was asked for."""


class Scripts:
    """The rows by the script of their answers, and those that leave that of their question."""

    def __init__(self) -> None:
        self.places: defaultdict[str, list[str]] = defaultdict(list)
        self.crossed: list[tuple[str, str]] = []
        self.kept = 0
        """Rows whose answer keeps to the script of the question."""

    def add(self, where: str, example: Example) -> None:
        """Looks at the answer of one row; one that asks for another language is left alone."""
        if not isinstance(example, Chat) or len(example.answer) < LETTERS:
            return
        asked = next((turn.content for turn in reversed(example.turns) if turn.role == "user"), "")
        script = script_of(example.answer)
        if script is None or _ASKED.search(asked):
            return
        own = script_of(asked) if len(asked) >= LETTERS else None
        if own is not None and own != script:
            self.crossed.append((script, where))
            return
        self.kept += own is not None
        self.places[script].append(where)

    def notes(self) -> list[str]:
        """Returns a line for rows that leave their question's script, and one for each script of
        few rows.
        """
        found: list[str] = []
        if self.kept + len(self.crossed) >= ROWS and self._few:
            places = [where for _, where in self.crossed]
            found = [say("detect.crossed", number=len(places), places=some(places))]
        elif not self._few:
            # A set that answers in another language than it asks: a few in a third are still few.
            for script, where in self.crossed:
                self.places[script].append(where)
        total = sum(map(len, self.places.values()))
        if total < ROWS:
            return found
        usual = max(self.places, key=lambda script: len(self.places[script]))
        for script, places in self.places.items():
            if 0 < len(places) <= FEW * total:
                told = {"number": len(places), "script": script, "usual": usual}
                found.append(say("detect.script", **told, places=some(places)))
        return found

    @property
    def _few(self) -> bool:
        return 0 < len(self.crossed) <= FEW * (self.kept + len(self.crossed))
