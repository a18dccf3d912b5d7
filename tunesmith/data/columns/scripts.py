"""Writing with and without spaces: where the words of a text are."""

from __future__ import annotations

import re

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
KANA = "\u3040-\u30ff\u31f0-\u31ff"
_WORD = re.compile(f"[{HAN}{KANA}]|[^\\W_{HAN}{KANA}]+|[^\\s]")


def words_of(text: str) -> tuple[tuple[int, int], ...]:
    """Returns the span of each word (from, up to, in characters): a run of letters and digits, any
    other single mark, or a single character of Han or kana, which are written without spaces.
    """
    return tuple(word.span() for word in _WORD.finditer(text))
