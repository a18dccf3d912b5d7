"""ShareGPT's chat rows: conversations with from and value, function_call and observation turns,
tools as JSON text.
"""

from __future__ import annotations

from typing import ClassVar

from tunesmith.data.columns.chats import answered_beside, chat_of, turns_column
from tunesmith.data.columns.turns import ANOTHER_TASK, PICTURES, json_list
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat

_KEYS = ("from", "value")


@READERS.register
class ShareGpt(Reader):
    """ShareGPT's conversations: turns with from and value; function_call and observation are calls
    of tools and their results.
    """

    gives = Chat
    fields: ClassVar[dict[str, str]] = {
        "conversations": "the turns: [{from: human, value: …}, {from: gpt, value: …}]",
        "tools": "the functions that may be called, as JSON text",
        "system": "a system prompt",
    }

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with a column of turns that have from and value."""
        name = turns_column(columns, row, _KEYS)
        first = (json_list(row[name]) or [None])[0] if name is not None else None
        return (
            not columns & ((ANOTHER_TASK - PICTURES) | {"label"})
            and isinstance(first, dict)
            and "role" not in first  # as OpenAI names who speaks
            and not answered_beside(columns, row, name or "")
        )

    def read(self, row: Row) -> Chat:
        """Reads the turns, with the system prompt of the row where they have none."""
        return chat_of(row, _KEYS, "conversations")
