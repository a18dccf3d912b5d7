"""A few rows that answer in another script: than their question, or than nearly all others."""

from __future__ import annotations

from collections import defaultdict

from tunesmith.data.texts.script import script_of
from tunesmith.examples import Chat, Example
from tunesmith.words import say, some

LETTERS, FEW, ROWS = 20, 0.05, 20
"""Answers and questions with fewer characters are not looked at; up to this share of at least so
many rows is few.
"""
_ASKED = (
    *(
        "翻译",
        "译成",
        "译为",
        "英文",
        "英语",
        "中文",
        "汉语",
        "日文",
        "日语",
        "韩语",
        "法语",
        "德语",
        "俄语",
    ),
    *(
        "西班牙语",
        "拼音",
        "代码",
        "编程",
        "函数",
        "translat",
        "chinese",
        "english",
        "japanese",
        "korean",
    ),
    *("french", "german", "spanish", "russian", "arabic", "python", "code", "function"),
)
"""Words in a question after which another script is what was asked for."""


class Scripts:
    """The rows by the script of their answers, and those that leave that of their question."""

    def __init__(self) -> None:
        self.places: defaultdict[str, list[str]] = defaultdict(list)
        self.crossed: list[tuple[str, str]] = []
        self.kept = 0
        """Rows whose answer keeps to the script of the question."""

    def look(self, example: Example) -> tuple[str, str | None] | None:
        """Looks at the answer of one row; returns its script and that of the question. One that
        asks for another language is left alone.
        """
        if not isinstance(example, Chat) or len(example.answer) < LETTERS:
            return None
        asked = next((turn.content for turn in reversed(example.turns) if turn.role == "user"), "")
        script = script_of(example.answer)
        if script is None:
            return None
        lowered = asked.lower()
        if any(word in lowered for word in _ASKED):  # a tenth of the time of a pattern of them
            return None
        return script, script_of(asked) if len(asked) >= LETTERS else None

    def add(self, where: str, scripts: tuple[str, str | None]) -> None:
        """Notes the scripts of a row's answer and question."""
        script, of_question = scripts
        if of_question is not None and of_question != script:
            self.crossed.append((script, where))
            return
        self.kept += of_question is not None
        self.places[script].append(where)

    def rows(self) -> dict[str, list[str]]:
        """Returns the rows that leave their question's script, and those in scripts of few rows."""
        crossed = [where for _, where in self.crossed]
        enough = self.kept + len(self.crossed) >= ROWS
        few, _ = self._in_few()
        return {
            "crossed": crossed if enough and self._few else [],
            "script": [where for _, places in few for where in places],
        }

    def notes(self) -> list[str]:
        """Returns a line for rows that leave their question's script, and one for each script of
        few rows.
        """
        crossed = self.rows()["crossed"]
        notes = (
            [say("detect.crossed", number=len(crossed), places=some(crossed))] if crossed else []
        )
        few, usual = self._in_few()
        for script, places in few:
            notes.append(
                say(
                    "detect.script",
                    number=len(places),
                    script=script,
                    usual=usual,
                    places=some(places),
                )
            )
        return notes

    def _in_few(self) -> tuple[list[tuple[str, list[str]]], str]:
        """Returns the scripts of few rows with these, and the usual script."""
        places = {script: [*here] for script, here in self.places.items()}
        if not self._few:
            # A set that answers in another language than it asks: a few in a third are still few.
            for script, where in self.crossed:
                places.setdefault(script, []).append(where)
        total = sum(map(len, places.values()))
        if total < ROWS:
            return [], ""
        usual = max(places, key=lambda script: len(places[script]))
        few = [(script, here) for script, here in places.items() if 0 < len(here) <= FEW * total]
        return few, usual

    @property
    def _few(self) -> bool:
        return 0 < len(self.crossed) <= FEW * (self.kept + len(self.crossed))
