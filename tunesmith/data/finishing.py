"""What readers give, made fit to be used: chats that end on an answer, texts that are not empty and have a label."""

from __future__ import annotations

from dataclasses import replace

from tunesmith.data.labels import label_column
from tunesmith.data.turns import json_list
from tunesmith.examples import Chat, Labelled, Turn


def without_label(example: Labelled) -> str | None:
    """Why a labelled text cannot be used; None where it can. An empty list says that no class fits, which is a label."""
    if not example.text.strip():
        return "no text"
    if isinstance(example.labels, float) or example.labels:
        return None
    name = label_column(example.columns)
    return None if name is not None and json_list(example.columns[name]) is not None else "no label"


def finish(chat: Chat) -> tuple[Chat | str, list[str]]:
    """A chat that ends on the assistant's answer, or the reason why it has none, and what was changed.

    Turns of one speaker that follow each other become one, since most chat templates refuse them.
    """
    turns: list[Turn] = []
    changes: list[str] = []
    for turn in chat.turns:
        joined = _joined(turns[-1], turn) if turns else None
        if joined:
            turns[-1] = joined
            changes.append("joined")
        else:
            turns.append(turn)
    while turns and turns[-1].role != "assistant":
        turns.pop()
        changes.append("trailing")
    if not turns or not (turns[-1].content.strip() or turns[-1].tool_calls):
        return "no answer", []
    if not any(turn.role == "user" and turn.content.strip() for turn in turns):
        return "no question", []
    columns = chat.columns
    if changes:
        asked = next(turn.content for turn in reversed(turns) if turn.role == "user")
        columns = {**columns, "question": asked, "answer": turns[-1].content}
    return replace(chat, turns=tuple(turns), columns=columns), list(dict.fromkeys(changes))


def _joined(before: Turn, turn: Turn) -> Turn | None:
    """Two turns of one speaker as one; None where they must stay apart."""
    apart = turn.reasoning or (before.role, before.train, before.weight) != (turn.role, turn.train, turn.weight)
    if apart or turn.role not in ("user", "assistant") or (before.tool_calls and not turn.tool_calls):
        return None
    text = "\n".join(part for part in (before.content, turn.content) if part)
    moved = len(text) - len(turn.content)
    spans = before.spans + tuple((start + moved, stop + moved, weight) for start, stop, weight in turn.spans)
    return replace(before, content=text, tool_calls=before.tool_calls + turn.tool_calls, spans=spans)
