"""Rows of any file as a suite: one of your own, or a benchmark as it is published (MMLU, CMMLU,
AGIEval, GSM8K).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Gt

from tunesmith.data.columns.choices import is_letter
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Turn
from tunesmith.metrics._number import is_number, readings
from tunesmith.settings.run import Word
from tunesmith.settings.spec import Spec
from tunesmith.suites import (
    SUITES,
    Question,
    Rule,
    Suite,
    columns_beside,
    read_examples,
    spread,
    title_of,
)
from tunesmith.words import say

_LINE = re.compile(r"^([A-J])\. ", re.MULTILINE)
_RESULT = re.compile(r"####[ \t]*(\S.*?)\s*$")


@SUITES.register
class Rows(Suite):
    """The questions of a file or folder in any format that check reads. Multiple choice (MMLU,
    CMMLU, AGIEval) goes by the likeliest letter, worked numbers (GSM8K) by the last number of the
    answer.
    """

    tokens = 256

    class Config(Spec):
        """The file, and how its answers are judged."""

        path: str
        """File or folder; each file is a kind of its own."""
        columns: dict[str, Word] | None = None
        """Our names to the file's, where they are not recognised: ``{question: problem, answer:
        answer}``."""
        rule: Literal["auto", "same", "contains", "number"] = "auto"
        """How an answer is right: the same words, words within it, or its last number; auto takes
        number where the rows end with #### and one, or all answers are nothing but a number, else
        the same words. Letters of options are always compared by likelihood."""
        items: Annotated[int, Gt(0)] = 200
        """At most this many rows, spread evenly over the file."""

    @property
    def title(self) -> str:
        """The file's name, with its folder's where it is that of a part, as test."""
        return title_of(self.config.path)

    def questions(self) -> Sequence[Question]:
        """Reads the rows; raises DataError where none of them asks anything."""
        rows = [
            (located, chat)
            for located, chat in read_examples(self.name, self.config, Chat)
            if isinstance(chat, Chat) and chat.answer.strip()
        ]
        if not rows:
            beside = columns_beside(self.name, self.config.path)
            text = f"{say('suite.none_answered')}\n{beside}"
            raise DataError(Problem(self.config.path, text))
        rule: Rule = self.config.rule
        if self.config.rule == "auto":
            numbers = all(is_number(chat.answer) for _, chat in rows)
            rule = "number" if numbers else "same"
        return [
            self._question(f"{located.file.name}:{located.number}", located.file.stem, chat, rule)
            for located, chat in spread(rows, self.config.items)
        ]

    def _question(self, place: str, kind: str, chat: Chat, rule: Rule) -> Question:
        asked = chat.turns[-2].content if len(chat.turns) > 1 else ""
        # The options stand below the question, which may have such lines itself.
        letters = tuple(_LINE.findall(asked[max(asked.rfind("\nA. "), 0) :]))
        if is_letter(chat.answer) and chat.answer in letters:
            return Question(place, kind, chat, "option", letters)
        worked = _RESULT.search(chat.answer)
        if worked and self.config.rule == "auto" and readings(worked[1]):
            rule = "number"
        if worked:
            chat = Chat((*chat.turns[:-1], Turn("assistant", worked[1])), columns=chat.columns)
        return Question(place, kind, chat, rule)
