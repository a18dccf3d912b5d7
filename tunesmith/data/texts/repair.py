"""Texts that were damaged on their way: read in a wrong encoding, or full of signs that nobody
sees.
"""

from __future__ import annotations

import html
import re
import unicodedata

_UNSEEN = re.compile(
    "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]"
)
"""Signs without a width or a meaning in a text. Joiners (U+200C, U+200D) stay: Persian words and
emoji of several people need them.
"""
_WIDE = {code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B))}
_WIDE |= {code: code - 0xFEE0 for code in range(0xFF41, 0xFF5B)} | {0x3000: 0x20}
"""Full-width digits and letters to plain ones; Chinese punctuation stays what it is."""
_TAGS = (
    "a|abbr|article|b|big|blockquote|body|br|center|code|col|dd|del|div|dl|dt|em|figure|font|footer"
    "|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|label|li|link|main|meta|nav|ol|p|pre|s"
    "|script|section|small|span|strike|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|title|tr"
    "|u|ul"
)
_VALUE = r"""\s*=\s*(?:"[^"]*"|'[^']*'|[^\s<>]+)"""
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s+[\w:-]+{_VALUE})*\s*/?>", re.IGNORECASE)
_BREAKS = re.compile(r"<br\s*/?>|</(?:p|div|li|tr|h[1-6])>", re.IGNORECASE)
_UNREAD = re.compile(r"<(script|style)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"(```.*?```)", re.DOTALL)
_HAN = re.compile("[\u3400-\u9fff]")
_HIGH_PAIRS = re.compile("[\u0080-\u00ff]{2,}")
_LATIN_HIGH = re.compile("[\u0080-\u00ff]")


MARKS = re.compile(
    r"<\|(?:im_start|im_end|im_sep|user|assistant|system|end|eot_id|start_header_id|end_header_id)\|>"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|<｜(?:User|Assistant)｜>"
    r"|^#{2,3} ?(?:Instruction|Response|Input|Human|Assistant|指令|回答|输入) ?[:：]",
    re.MULTILINE,
)
"""Marks of chat templates."""
_WHOLE_MARK = re.compile(
    r"(?:<\|(?:im_start|start_header_id)\|>|<start_of_turn>) *(?:system|user|assistant|model|tool)?"
    rf"\s*(?:<\|end_header_id\|>)?\s*|(?:{MARKS.pattern})[ \t]*",
    re.MULTILINE,
)


def without_marks(text: str) -> str:
    """Removes the marks of chat templates, with the speaker that one names."""
    return _WHOLE_MARK.sub("", text).strip() if MARKS.search(text) else text


def without_unseen(text: str) -> str:
    """Normalises a text to NFC, without control characters and signs of no width."""
    return _UNSEEN.sub("", unicodedata.normalize("NFC", text))


def plain_width(text: str) -> str:
    """Turns full-width letters and digits into plain ones."""
    return text.translate(_WIDE)


def evenly_spaced(text: str) -> str:
    """Removes spaces at the ends of lines, and all but one of the empty lines between two
    others.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


def without_tags(text: str) -> str:
    """Removes HTML's known tags and reads its entities; other words in pointed brackets
    (``<think>``, ``<image>``, ``a<b``) and code between fences stay.
    """
    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _untagged(part) for part in parts)


def _untagged(text: str) -> str:
    bare = _TAG.sub("", _BREAKS.sub("\n", _UNREAD.sub("", text)))
    return html.unescape(bare) if bare != text or "&" in text else text


def mended(text: str) -> str:
    """Restores a text that was read in a wrong encoding; returns any other unchanged.

    UTF-8 read as Latin-1 or cp1252 is ftfy's; GBK read as Latin-1 comes back where that gives
    Chinese. ``tests/data/texts/test_repair.py`` measures it on published answers: no sound one is
    changed, and of 300 that are damaged in each way at least 297 come back.
    """
    if _LATIN_HIGH.search(text) is None:
        return text
    ours = _from_gbk(text)
    if ours is not None:
        return ours
    import ftfy

    # Not ftfy.fix_text, which makes plain commas of Chinese ones.
    return ftfy.fix_encoding(text)


def _from_gbk(text: str) -> str | None:
    """Restores GBK that was read as Latin-1: every high sign belongs to a pair that is Chinese in
    GBK.
    """
    high = len(_LATIN_HIGH.findall(text))
    # Most pairs of GBK are two high signs; 73°F holds one, which GBK would make a character of.
    if high < 4 or sum(map(len, _HIGH_PAIRS.findall(text))) < 0.7 * high:
        return None
    try:
        # What is UTF-8 is ftfy's; GBK seldom is.
        text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        pass
    except UnicodeEncodeError:
        return None
    else:
        return None
    try:
        read = text.encode("latin-1").decode("gbk")
    except UnicodeDecodeError:
        return None
    return read if 2 * len(_HAN.findall(read)) > 0.7 * high else None


LOST = re.compile("\ufffd|锟斤拷|烫烫烫")
"""What is left of texts that nothing can bring back."""
