"""Rows that are one turn of a conversation or one word of a sentence each, as tables hold them:
those that belong together become one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tunesmith.data.columns.names import plain, words_of
from tunesmith.data.columns.spans import OUTSIDE, TAG
from tunesmith.data.columns.turns import is_speaker
from tunesmith.data.files.file_facts import Located
from tunesmith.plain import JsonObject, Row

TURNS, WORDS = "turns", "words"
_TALK = words_of(
    "sessionid session conversationid convid dialogueid dialogid chatid threadid conversation "
    "dialogue 会话id 会话 会话编号 会话号 对话id 对话 对话编号 工单号 通话id"
)
_WHO = words_of("role speaker sender from 角色 说话人 发言人 发送者 发送人")
_SAID = words_of("content text message utterance value 内容 文本 消息 发言 对话内容 消息内容")
_SENTENCE = words_of("sentence sentenceid sentid sentenceidx sentences 句子 句子id 句子编号")
_WORD = words_of("word token char words tokens 词 字 词语")
_TAG = words_of("tag nertag label bio labels tags 标签")


def kind_of(rows: Sequence[Row]) -> str:
    """Returns what these rows are parts of: turns of conversations, words of sentences, or nothing
    (empty).
    """
    talk_columns = _columns(rows, _TALK, _WHO, _SAID)
    if talk_columns is not None:
        talk, who, said = talk_columns
        texts = all(isinstance(row.get(said), str) for row in rows)
        speak = all(is_speaker(row.get(who)) for row in rows)
        talks = {str(row.get(talk)) for row in rows}
        if texts and speak and len({row[who] for row in rows}) > 1 and len(talks) < len(rows):
            return TURNS
    word_columns = _columns(rows, _SENTENCE, _WORD, _TAG)
    if word_columns is not None:
        tags = [str(row.get(word_columns[2])) for row in rows]
        if all(map(TAG.fullmatch, tags)) and {*tags} != {OUTSIDE}:
            return WORDS
    return ""


def _columns(rows: Sequence[Row], *known: Sequence[str]) -> list[str] | None:
    """Returns the column that has one of the names of each kind; None where one has none."""
    columns = dict.fromkeys([name for row in rows for name in row])
    called = {plain(name): name for name in columns}
    columns_called = [
        next((called[name] for name in names if name in called), None) for names in known
    ]
    whole = [name for name in columns_called if name is not None]
    return whole if len(whole) == len(known) and len(rows) > 1 else None


def _talks(read: Iterator[Located]) -> Iterator[Located]:
    """Yields a row for each conversation, at the place of its first turn; its turns may stand
    between those of others.
    """
    talks: dict[object, tuple[Located, list[JsonObject]]] = {}
    for located in read:
        talk, who, said = _columns([located.row, located.row], _TALK, _WHO, _SAID) or ("", "", "")
        key = located.row.get(talk)
        _, turns = talks.setdefault(key, (located, []))
        turns.append({"role": located.row.get(who), "content": located.row.get(said) or ""})
    for key, (first, turns) in talks.items():
        yield Located(first.file, first.number, {"id": key, "messages": turns})


def _sentences(read: Iterator[Located]) -> Iterator[Located]:
    """Yields a row for each sentence; its key may stand beside its first word alone."""
    key: object = None
    first: Located | None = None
    words: list[tuple[Any, Any]] = []
    for located in read:
        sentence, word, tag = _columns([located.row, located.row], _SENTENCE, _WORD, _TAG) or (
            "",
            "",
            "",
        )
        mark = located.row.get(sentence)
        if first is None or (mark not in (None, "") and mark != key):
            if first is not None:
                yield _sentence(first, words)
            key, first, words = mark, located, []
        words.append((str(located.row.get(word)), located.row.get(tag)))
    if first is not None:
        yield _sentence(first, words)


def _sentence(first: Located, words: list[tuple[Any, Any]]) -> Located:
    tokens, tags = zip(*words, strict=True)
    return Located(first.file, first.number, {"tokens": [*tokens], "tags": [*tags]})


READ: dict[str, Callable[[Iterator[Located]], Iterator[Located]]] = {
    TURNS: _talks,
    WORDS: _sentences,
}
