"""Texts that were damaged on their way: read in a wrong encoding, or full of signs that nobody
sees.
"""

from __future__ import annotations

import html.entities
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
_BLOCKS = "article|aside|blockquote|center|dd|div|dl|dt|h[1-6]|li|ol|p|section|table|tr|ul"
_TAGS = (
    f"{_BLOCKS}|a|abbr|b|big|body|br|button|cite|code|col|del|em|fieldset|figure|font|footer|form"
    "|head|header|hr|html|i|iframe|img|input|ins|kbd|label|legend|link|main|meta|nav|noscript|pre|s"
    "|samp|script|select|small|span|strike|strong|style|sub|sup|tbody|td|textarea|tfoot|th|thead"
    "|title|tt|u"
)
_VALUE = r"""\s*=\s*(?:"[^"]*"|'[^']*'|[^\s<>]+)"""
_ALONE = "async|checked|controls|defer|disabled|hidden|multiple|nowrap|readonly|required|selected"
_REST = rf"(?:\s+(?:[\w:-]+{_VALUE}|(?:{_ALONE})))*\s*/?>"
"""Of an opening tag. Not any word may stand there: ``if a <b and c> d`` is no tag."""
_TAG = re.compile(rf"</?(?:{_TAGS}){_REST}", re.IGNORECASE)
_BREAKS = re.compile(rf"<br{_REST}|</(?:{_BLOCKS})\s*>", re.IGNORECASE)
_OPENED = re.compile(rf"(?P<after>^|\n)?(?:<(?:{_BLOCKS}){_REST}[ \t]*)+", re.IGNORECASE)
_INLINE = re.compile(rf"</?(?!(?:{_BLOCKS})\b)(?:{_TAGS}){_REST}", re.IGNORECASE)
_CELLS = re.compile(rf"</t[dh]\s*>\s*<t[dh]{_REST}", re.IGNORECASE)
_UNREAD = re.compile(
    r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<!doctype\b[^>]*>", re.IGNORECASE | re.DOTALL
)
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z]\w*)(?:;|(?![\w=]))", re.IGNORECASE)
"""As in an attribute: ``?a=1&copy=2`` is an address, and holds no ©."""
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
    if "<" in text:
        bare = _BREAKS.sub("\n", _CELLS.sub(" | ", _UNREAD.sub("", text)))
        # A block that nothing closed before begins a line of its own too.
        opened = _OPENED.sub(_line, _INLINE.sub("", bare))
        text = _TAG.sub("", opened)
    return _ENTITY.sub(_sign, text)


def _line(opening: re.Match[str]) -> str:
    return "\n" if opening["after"] is None else opening["after"]


def _sign(entity: re.Match[str]) -> str:
    name = entity.group()[1:]
    known = name.startswith("#") or name in html.entities.html5
    # A space that no line may break at is a space to a tokenizer too.
    return html.unescape(entity.group()).replace("\xa0", " ") if known else entity.group()


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
