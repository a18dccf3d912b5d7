"""A hard prompt, which needs no training: a text of one's own that the untuned model is asked
under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tunesmith.data.prepare import Item
from tunesmith.data.rendering.render import Render
from tunesmith.data.rendering.template import PLACEHOLDER
from tunesmith.errors import Problem, SpecError
from tunesmith.examples import Chat, Turn
from tunesmith.proving import rivals
from tunesmith.proving.task import Task, fit
from tunesmith.words import say


def read_prompt(file: str | None) -> str | None:
    """Reads the text in ``file``; raises SpecError where there is none."""
    if file is None:
        return None
    path = Path(file).expanduser()
    if not path.is_file():
        raise SpecError(Problem("prove.prompt", say("plan.no_prompt", value=repr(file))))
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        raise SpecError(Problem(str(path), say("spec.not_utf8"))) from None
    if not text:
        raise SpecError(Problem(str(path), say("prove.prompt_empty")))
    return text


def prompted(task: Task, text: str, limit: int | None) -> Task:
    """Returns ``task`` with its questions under the prompt ``text``; what is scored stays the same.
    Raises SpecError where an item with it exceeds ``limit`` (tokens).

    A text in which ``{question}`` or another column of the rows stands becomes what the user says;
    any other is the system prompt, or with ``data.template`` stands before the filled template.
    """
    if not task.prompts:
        raise SpecError(Problem("prove.prompt", say("prove.prompt_for_text")))
    render, items, header = task.render, task.items, rivals.NOTHING
    if render.template is not None:
        begun = (
            render.pieces.bos if render.sides is None else ()
        )  # an encoder's side begins by itself
        header = np.array(
            [*begun, *render.pieces.start(render.control.text(text) + "\n\n")], np.int32
        )
        prompts = [rivals.prompt_with_shots(render, _chat(item), [], header) for item in items]
    else:
        items = [_under(item, text, render) for item in items]
        prompts = [render.prompt(_chat(item)) for item in items]
    longest = max(map(len, prompts)) + task.longest
    if limit is not None and longest > limit:
        raise SpecError(
            Problem("prove.prompt", say("prove.prompt_too_long", tokens=longest, limit=limit))
        )
    under = replace(task, items=items, prompts=prompts, header=header)
    fit(under, task.limit)
    return under


def _chat(item: Item) -> Chat:
    assert isinstance(item.example, Chat), f"{item.id} is held out and so keeps its example"
    return item.example


def _under(item: Item, text: str, render: Render) -> Item:
    chat = asked_under(_chat(item), text)
    return replace(
        item, example=chat, tokens=tuple(rivals.tokens_with_shots(render, chat, item.tokens, []))
    )


def asked_under(chat: Chat, text: str) -> Chat:
    """Returns the conversation with ``text`` as its system prompt, or in place of the last user
    turn where the text names a column.
    """
    last = max((n for n, turn in enumerate(chat.turns) if turn.role == "user"), default=None)
    filled = _filled(text, chat, last)
    if filled is None or last is None:
        return replace(
            chat,
            turns=(Turn("system", text), *(turn for turn in chat.turns if turn.role != "system")),
        )
    return replace(
        chat,
        turns=(
            *chat.turns[:last],
            replace(chat.turns[last], content=filled),
            *chat.turns[last + 1 :],
        ),
    )


def _filled(text: str, chat: Chat, last: int | None) -> str | None:
    """Fills the row's values into ``text``; None where it names no column. Other braces stay as
    they are.
    """
    answered = ("answer", "output", "response", "reasoning")
    values: Mapping[str, object] = {
        name: value for name, value in chat.columns.items() if name not in answered
    }
    if last is not None:
        values = {**values, "question": chat.turns[last].content}
    columns = [match[1] for match in PLACEHOLDER.finditer(text) if match[1] in values]
    return (
        PLACEHOLDER.sub(lambda match: str(values.get(match[1], match[0])), text)
        if columns
        else None
    )
