"""Trees of messages as OpenAssistant (Köpf et al. 2023) publishes them, a row a message or a row a
tree: one conversation for each, along the reply of the best rank.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tunesmith.data.files.file_facts import Located
from tunesmith.plain import JsonObject

_MESSAGE = frozenset({"message_id", "parent_id", "role", "text"})


def holds_messages(rows: Sequence[JsonObject]) -> bool:
    """Tells whether each row is one message of a tree, or one whole tree."""
    return bool(rows) and all(row.keys() >= _MESSAGE or _is_tree(row) for row in rows)


def _is_tree(row: JsonObject) -> bool:
    top = row.get("prompt")
    return isinstance(top, dict) and {"text", "role", "replies"} <= top.keys()


def conversations(read: Iterator[Located]) -> Iterator[Located]:
    """Yields one row for each tree, with the number of its first message."""
    replies: dict[object, list[JsonObject]] = defaultdict(list)
    first: list[Located] = []
    for located in read:
        if _is_tree(located.row):
            yield _told(located, _down(located.row["prompt"]))
            continue
        parent = located.row.get("parent_id")
        if parent in (None, ""):
            first.append(located)
        else:
            replies[parent].append(located.row)
    for located in first:
        path = [located.row]
        while answers := replies.pop(path[-1].get("message_id"), None):
            path.append(_best(answers))
        yield _told(located, path)


def _down(message: JsonObject) -> list[JsonObject]:
    """Returns a message and the best replies below it."""
    path = [message]
    while answers := path[-1].get("replies"):
        path.append(_best(answers))
    return path


def _best(answers: Sequence[Any]) -> Any:
    """Returns the reply of the best rank that was not deleted; the first where none has a rank."""

    def place(one: Any) -> tuple[bool, float]:
        rank = one.get("rank")
        return bool(one.get("deleted")), math.inf if rank is None else float(rank)

    return min(answers, key=place)


def _told(located: Located, path: Sequence[JsonObject]) -> Located:
    turns = [{"role": one["role"], "content": one["text"]} for one in path]
    tree = located.row.get("message_tree_id")
    return Located(located.file, located.number, {"messages": turns, "message_tree_id": tree})
