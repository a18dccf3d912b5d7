"""A file of one JSON object whose keys are questions and whose values are their answers:
``{"How do I return it?": "Within 30 days.", …}``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tunesmith.data.columns.names import is_usual
from tunesmith.data.files import jsonstream
from tunesmith.data.files.file_facts import Faults, FileFacts, Located
from tunesmith.data.files.jsonstream import Decoder
from tunesmith.plain import Row
from tunesmith.words import say

COLUMNS = ("question", "answer")
FORMAT = "json answers"
_ENDS = "?？.。!！吗呢"
_WORDS, _LETTERS = 3, 6
"""So many words, or letters that are not ASCII, are a text and not a name."""
_MANY = 8
"""A row has seldom so many columns of which none has a usual name."""


def holds_answers(sample: str, complete: bool) -> bool:
    """Tells whether a text, which may be cut off, is one object of questions and answers: no key is
    a usual name of a column, and half of the keys read as texts, or of many the values do.
    """
    pairs: list[tuple[str, Any]] = []
    try:
        for pair in jsonstream.members(io.StringIO(sample), Decoder()):
            pairs.append(pair)
    except jsonstream.BrokenJson:
        if complete:
            return False
    if not may_be_answers(dict(pairs)):
        return False
    keys, values = zip(*pairs, strict=True)
    return _mostly_texts(keys) or (len(keys) >= _MANY and _mostly_texts(values))


def may_be_answers(row: Row) -> bool:
    """Tells whether an object has several keys with a text or nothing behind each, and none of
    these is a usual name of a column.
    """
    texts = [value for value in row.values() if isinstance(value, str)]
    plain = all(value is None or isinstance(value, str) for value in row.values())
    return plain and len(row) > 1 and 2 * len(texts) >= len(row) and not any(map(is_usual, row))


def _mostly_texts(words: Sequence[str | None]) -> bool:
    return 2 * sum(_is_text(word.strip()) for word in words if word) >= len(words)


def _is_text(word: str) -> bool:
    wide = len(word) - len(word.encode("ascii", "ignore"))
    return word[-1:] in (*_ENDS,) or len(word.split()) >= _WORDS or wide >= _LETTERS


def read(found: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    """Yields a row for each key; one that stands twice is two rows."""
    number = 0
    try:
        for number, pair in enumerate(jsonstream.members(stream, Decoder()), 1):
            if pair[1] is None or isinstance(pair[1], str):
                yield Located(found.path, number, dict(zip(COLUMNS, pair, strict=True)))
            else:
                seen = jsonstream.excerpt(json.dumps(pair[1], ensure_ascii=False), 0)
                faults.add(found.path, number, say("source.no_answer", key=pair[0], seen=seen))
    except jsonstream.BrokenJson as error:
        faults.add(found.path, number + 1, error.text)
