"""The rows of a run on conversations, as ``messages``, those that train or are watched alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.data.files.file_facts import Names
from tunesmith.data.items import Item
from tunesmith.data.layouts import row_of
from tunesmith.data.reading import Reading
from tunesmith.examples import Chat, Example
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Run


def conversations(run: Run, items: Sequence[Item]) -> Iterator[JsonObject]:
    """Yields the conversations of ``items``, in the order of the files; raises DataError where a
    row holds what messages have no place for.
    """
    examples = [(item.id, item.example) for item in items if item.example is not None]
    if len(examples) == len(items):
        yield from (_row(example) for _, example in examples)
        return
    wanted, names = {item.id for item in items}, Names()
    for located, example in Reading(run.data, Chat):
        if f"{names.of(located.file)}:{located.number}" in wanted:
            yield _row(example)


def _row(example: Example) -> JsonObject:
    row = row_of(example, "messages")
    names = ("role", "content", "reasoning_content", "tool_calls", "name")
    turns = [{name: turn[name] for name in names if name in turn} for turn in row["messages"]]
    return {**row, "messages": turns}
