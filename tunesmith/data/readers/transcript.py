"""A conversation that one text writes out, with a mark before each turn."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from tunesmith.data.columns.labels import LABELS
from tunesmith.data.columns.names import ANSWER, QUESTION, TARGET, ranked
from tunesmith.data.columns.transcripts import written_out
from tunesmith.data.columns.turns import ANOTHER_TASK, field_problem, shown, system_turn, text_of
from tunesmith.data.readers import READERS, Reader, Row
from tunesmith.examples import Chat

_TEXTS = (
    *("text", "plain_text", "transcript", "conversation", "conversations", "dialogue", "dialog"),
    *("chat", "content", "input", "对话", "文本"),
    *("对话内容", "会话内容", "聊天记录", "通话记录", "通话内容"),
)


@READERS.register
class Transcript(Reader):
    """A dialogue in one text, with a mark before each turn: ### Human: and ### Assistant:, USER:
    and ASSISTANT:, ChatML, [INST], or Human: and Assistant: at the beginning of lines.
    """

    gives = Chat
    fields: ClassVar[dict[str, str]] = {
        "text": "the dialogue; also transcript, conversation, dialogue",
        "system": "a system prompt",
    }

    @classmethod
    def matches(cls, columns: frozenset[str], row: Row) -> bool:
        """Matches rows with one text that writes out a dialogue, and no answer beside it."""
        name = next((name for name in _TEXTS if name in columns), None)
        beside = ranked([*QUESTION, *ANSWER, *TARGET, *LABELS], columns - {name or ""} - {"topic"})
        value = row.get(name) if name else None
        if beside or columns & ANOTHER_TASK or not isinstance(value, str):
            return False
        return bool(written_out(value))

    def uses(self, columns: Collection[str]) -> frozenset[str]:
        """Returns the reader's own fields and the column in which the text is looked for."""
        return frozenset({*self.fields, *[name for name in _TEXTS if name in columns][:1]})

    def read(self, row: Row) -> Chat:
        """Reads the turns; raises DataError for a text that is no dialogue."""
        name = next((name for name in _TEXTS if name in row), "text")
        text = text_of(row, name)
        turns = written_out(text)
        if not turns and text.strip():
            raise field_problem(name, "reader.no_dialogue", seen=shown(text, 80))
        if not any(turn.role == "system" for turn in turns):
            turns = [*system_turn(row), *turns]
        last = {turn.role: turn.content for turn in turns}
        columns = {"question": last.get("user", ""), "answer": last.get("assistant", "")}
        return Chat(tuple(turns), columns={**row, **columns})
