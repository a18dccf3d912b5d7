"""Trees of messages as OpenAssistant (Köpf et al. 2023) publishes them, a row a message or a row a
tree: one conversation for each, along the reply of the best rank; or, to compare them, the ranked
replies to each message.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tunesmith.data.files.file_facts import Located
from tunesmith.plain import JsonObject

CONVERSATIONS, REPLIES = "conversations", "replies"
_MESSAGE = frozenset({"message_id", "parent_id", "role", "text"})


def holds_messages(rows: Sequence[JsonObject]) -> bool:
    """Tells whether each row is one message of a tree, or one whole tree."""
    return bool(rows) and all(row.keys() >= _MESSAGE or _is_tree(row) for row in rows)


def _is_tree(row: JsonObject) -> bool:
    top = row.get("prompt")
    return isinstance(top, dict) and {"text", "role", "replies"} <= top.keys()


def _conversations(read: Iterator[Located]) -> Iterator[Located]:
    """Yields one row for each tree, with the number of its first message."""
    for first, top in _trees(read):
        path = [top]
        while answers := path[-1]["replies"]:
            path.append(_best(answers))
        tree = first.row.get("message_tree_id")
        row = {"messages": [_turn(message) for message in path], "message_tree_id": tree}
        yield Located(first.file, first.number, row)


def _replies(read: Iterator[Located]) -> Iterator[Located]:
    """Yields a row for each message with two answers or more that have a rank: what was said up to
    it, the answers and their ranks.
    """
    number = 0
    for first, top in _trees(read):
        waiting: list[list[JsonObject]] = [[top]]
        while waiting:
            path = waiting.pop()
            below = [reply for reply in path[-1]["replies"] if not reply.get("deleted")]
            waiting += [[*path, reply] for reply in reversed(below)]
            graded = [reply for reply in below if reply.get("rank") is not None]
            if len(graded) < 2 or path[-1].get("role") == "assistant":
                continue
            number += 1
            row = {
                "prompt": [_turn(message) for message in path],
                "responses": [reply["text"] for reply in graded],
                "ranks": [reply["rank"] for reply in graded],
                "message_tree_id": first.row.get("message_tree_id"),
            }
            yield Located(first.file, number, row)


def _trees(read: Iterator[Located]) -> Iterator[tuple[Located, JsonObject]]:
    """Yields the first row of each tree and its first message, with the replies below each."""
    below: dict[object, list[JsonObject]] = defaultdict(list)
    first: list[tuple[Located, JsonObject]] = []
    for located in read:
        if _is_tree(located.row):
            yield located, _whole(located.row["prompt"])
            continue
        message = {**located.row, "replies": below[located.row.get("message_id")]}
        parent = located.row.get("parent_id")
        if parent in (None, ""):
            first.append((located, message))
        else:
            below[parent].append(message)
    yield from first


def _whole(message: JsonObject) -> JsonObject:
    """Returns a message of a tree with a list of replies, perhaps empty, at each message."""
    return {**message, "replies": [_whole(reply) for reply in message.get("replies") or ()]}


def _best(answers: Sequence[Any]) -> Any:
    """Returns the reply of the best rank that was not deleted; the first where none has a rank."""

    def place(one: Any) -> tuple[bool, float]:
        rank = one.get("rank")
        return bool(one.get("deleted")), math.inf if rank is None else float(rank)

    return min(answers, key=place)


def _turn(message: JsonObject) -> JsonObject:
    return {"role": message["role"], "content": message["text"]}


READ: dict[str, Callable[[Iterator[Located]], Iterator[Located]]] = {
    CONVERSATIONS: _conversations,
    REPLIES: _replies,
}
