"""How a text is made, whatever it says: how much of it repeats, and the rules of Gopher (Rae et al.
2021, appendix A.1) and C4 (Raffel et al. 2020, section 2.2) for pages.
"""

from __future__ import annotations

import re
from collections import Counter

_WORD = re.compile(r"[\u3400-\u9fff\u3040-\u30ff]|[^\W_]+(?:['’-][^\W_]+)*")
_STOP = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_ENDED = re.compile(r"[.!?。！？…][\"'”’」』)）]*$")
_SENTENCE = re.compile(r"[.!?。！？…]+(?:[\"'”’」』)）]*)(?=\s|$|[\u3000-\u9fff])")
_OPEN = re.compile(r"(?:\.\.\.|…)[\"'”’」』)）]*$")
"""An end that C4 takes for a text that goes on elsewhere."""
WORD = 30
"""Signs of the longest word; more of them are a loop, or a language without spaces."""
RUN = 10
"""Signs in a run of Chinese that count as repeated, about as much text as 5 English words."""


def units(text: str) -> list[str]:
    """Returns the words of a text; each Chinese or Japanese character is one, and so is each sign
    of what is longer than a word.
    """
    words = _WORD.findall(text)
    if not any(len(word) > WORD for word in words):
        return words
    return [part for word in words for part in (word if len(word) > WORD else (word,))]


def repeated_share(text: str) -> float:
    """Computes the share of a text's words in a run of them (10 Chinese characters, 5 words) that
    occurred before; 0 for a text with fewer.
    """
    signs = units(text)
    wide = sum(len(sign) == 1 and ord(sign) > 0x2E80 for sign in signs)
    run = RUN if 2 * wide > len(signs) else RUN // 2
    if len(signs) < 2 * run:
        return 0.0
    seen: set[tuple[str, ...]] = set()
    again = [False] * len(signs)
    for start in range(len(signs) - run + 1):
        words = tuple(signs[start : start + run])
        if words in seen:
            again[start : start + run] = [True] * run
        seen.add(words)
    return sum(again) / len(signs)


def broken_c4_rule(text: str) -> str | None:
    """Returns the first of C4's rules for a page that a text breaks: ``placeholder`` (lorem ipsum),
    ``braces`` (code), ``script`` (a page that asks for JavaScript), or ``sentences``: fewer than 3
    in lines of 5 words or more that end as a sentence does ("..." ends none, Chinese marks do).
    """
    low = text.casefold()
    if "lorem ipsum" in low:
        return "placeholder"
    if "{" in text:
        return "braces"
    if "javascript" in low:
        return "script"
    lines = [line.strip() for line in text.split("\n")]
    ended = [line for line in lines if _ENDED.search(line) and not _OPEN.search(line)]
    whole = [line for line in ended if len(units(line)) >= 5]
    return "sentences" if sum(len(_SENTENCE.findall(line)) for line in whole) < 3 else None


def broken_rule(text: str) -> str | None:
    """Returns the first of Gopher's rules for a page in English that a text breaks: words,
    word_length, marks, bullets, ellipses, letters, stop_words, lines or grams; None where it keeps
    all.
    """
    words = text.split()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not 50 <= len(words) <= 100_000:
        return "words"
    if not 3 <= sum(map(len, words)) / len(words) <= 10:
        return "word_length"
    marks = text.count("#"), text.count("...") + text.count("…")
    if max(marks) > 0.1 * len(words):
        return "marks"
    if sum(line[0] in "•-*‣" for line in lines) > 0.9 * len(lines):
        return "bullets"
    if sum(line.endswith(("...", "…")) for line in lines) > 0.3 * len(lines):
        return "ellipses"
    if sum(any(letter.isalpha() for letter in word) for word in words) < 0.8 * len(words):
        return "letters"
    if len(_STOP & {word.casefold().strip(".,;:!?\"'") for word in words}) < 2:
        return "stop_words"
    return _repeats(lines, words)


_MOST_FREQUENT = {2: 0.20, 3: 0.18, 4: 0.16}
"""Largest share of a page's characters within its most frequent run of so many words."""


def _repeats(lines: list[str], words: list[str]) -> str | None:
    counts = Counter(lines)
    if sum(count - 1 for count in counts.values()) > 0.3 * len(lines):
        return "lines"
    total = sum(map(len, words))
    for length, share in _MOST_FREQUENT.items():
        grams = Counter(tuple(words[n : n + length]) for n in range(len(words) - length + 1))
        gram, count = grams.most_common(1)[0]
        if count > 1 and count * sum(map(len, gram)) > share * total:
            return "grams"
    return None
