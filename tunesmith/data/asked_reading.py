"""Rows that need no answer: those of an objective that learns from answers of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tunesmith.data.columns.finishing import finish, finished
from tunesmith.data.reading import Reading
from tunesmith.examples import Chat, Example, Text, Turn


class Prompts(Reading):
    """The rows as conversations that a model answers; where a row has an answer, it ends them."""

    answered = False

    def _finished(self, example: Example) -> tuple[Example | str, list[str]]:
        if isinstance(example, Text):
            example = Chat((Turn("user", example.text),), columns={"question": example.text})
        if not isinstance(example, Chat) or example.answer.strip():
            return finished(example)
        return finished_question(example.prompt)


def reading_for(objective: Any) -> type[Reading]:
    """Chooses how the rows of an objective are read: one that learns from answers of its own needs
    none.
    """
    return Prompts if objective.samples else Reading


def finished_question(prompt: Chat) -> tuple[Chat | str, list[str]]:
    """Repairs what is asked as a row that is learned: as if it were answered. Returns it, or why it
    is not used, and what was changed.
    """
    whole, changes = finish(replace(prompt, turns=(*prompt.turns, Turn("assistant", "-"))))
    if isinstance(whole, str) or whole.turns[-2].role != "user":
        return "no question", []
    if not whole.turns[-2].content.strip():
        return "no question", []
    answer = prompt.columns.get("answer", "")
    columns = {**whole.columns, "answer": answer} if changes else whole.columns
    return replace(whole, turns=whole.turns[:-1], columns=columns), changes
