"""Rows that need no answer: those of an objective that learns from answers of its own."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

from tunesmith.data.columns.finishing import finish, finished
from tunesmith.data.reading import Reading, examples
from tunesmith.data.rows import refuse_other_kind
from tunesmith.examples import Chat, Example, Text, Turn
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run


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


def open_rows(run: Run) -> tuple[Reading, Reading | None]:
    """Opens the files of a run's rows, and of its held-out rows where they have files of their own:
    what is absent, or has a layout that no reader knows, is a DataError before any model is found.
    """
    objective = OBJECTIVES.make(run.objective)
    kind = objective.eats, objective.meant, reading_for(objective)
    rows = examples(run.data, *kind)
    if not isinstance(run.data.held_out, str):
        return rows, None
    held = run.data.model_copy(update={"path": run.data.held_out, "limit": None})
    return rows, examples(held, *kind)


def look_at_rows(run: Run) -> bool:
    """Opens the files of a run's rows and reads the first of each; raises DataError where it is of
    a kind that the objective does not learn from.
    """
    objective = OBJECTIVES.make(run.objective)
    for reading in open_rows(run):
        for located, example in islice(reading or (), 1):
            refuse_other_kind(objective, located, example)
    return True


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
