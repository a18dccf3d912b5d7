"""OpenAI's chat rows: messages with role and content, tool calls and tool results; also turns that
only name their speakers.
"""

from __future__ import annotations

from typing import ClassVar

from tunesmith.data.columns.chats import answered_beside, chat_of, turns_column
from tunesmith.data.columns.turns import ANOTHER_TASK, PICTURES
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat

_KEYS = ("role", "content", "speaker", "text", "utterance", "角色", "说话人", "")
_OTHERS = (ANOTHER_TASK - PICTURES) | {"label"}


@READERS.register
class Messages(Reader):
    """OpenAI's messages: a list of turns, each with role and content, a pair of speaker and text,
    or a text after [speaker].
    """

    gives = Chat
    fields: ClassVar[dict[str, str]] = {
        "messages": (
            "the turns: [{role, content}, …], [[speaker, text], …] or ['[speaker] text', …]"
        ),
        "tools": "the functions that may be called, in OpenAI's form",
        "system": "a system prompt",
    }

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with a column of turns that have role and content, or are texts with
        speakers.
        """
        name = turns_column(columns, row, _KEYS)
        return (
            name is not None and not columns & _OTHERS and not answered_beside(columns, row, name)
        )

    def read(self, row: Row) -> Chat:
        """Reads the turns, with the system prompt of the row where they have none."""
        return chat_of(row, _KEYS, "messages")
