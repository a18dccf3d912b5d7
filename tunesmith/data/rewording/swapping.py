"""The ways that change a text word by word or sign by sign: synonyms, typing errors, and characters
that sound the same (Wei and Zou 2019, "EDA", and Belinkov and Bisk 2018, section 3.2).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunesmith.data.rewording.thesaurus import homophones, own, synonyms
from tunesmith.data.texts.script import script_of
from tunesmith.errors import Problem, SpecError
from tunesmith.words import say

Span = tuple[int, int]
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_HAN = re.compile("[\u4e00-\u9fff]+")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NAMES = ("nr", "ns", "nt", "nz")
"""How jieba tags persons, places and organisations."""
SHORTEST = 4
"""Shorter English words are left alone: they carry the grammar."""


def by_synonyms(words: str | None) -> Callable[[str, Sequence[Span], float, random.Random], str]:
    """Returns the way that swaps a share of the words for synonyms: of a file, else of Cilin or
    Moby, by the script of the text.
    """
    mine = own(words) if words is not None else None

    def swap(text: str, kept: Sequence[Span], share: float, chance: random.Random) -> str:
        chinese = script_of(text) == "zh"
        thesaurus = mine if mine is not None else synonyms("zh" if chinese else "latin")
        spans = (
            _chinese_words(text) if chinese else [match.span() for match in _WORD.finditer(text)]
        )
        # A capital within a sentence is a name.
        fitting = [
            (start, end)
            for start, end in spans
            if text[start:end].lower() in thesaurus
            and not (start and text[start].isupper())
            and (chinese or end - start >= SHORTEST)
        ]
        change = lambda word: _one(word, thesaurus, chance)  # noqa: E731
        return _swapped(text, fitting, kept, share=share, change=change, chance=chance)

    return swap


def by_noise(text: str, kept: Sequence[Span], share: float, chance: random.Random) -> str:
    """Puts typing errors into a share of the words; in Chinese characters that sound the same."""
    if script_of(text) == "zh":
        alike = homophones()
        spans = [
            (index, index + 1)
            for match in _HAN.finditer(text)
            for index in range(*match.span())
            if text[index] in alike
        ]
        # A Chinese word has two characters, so that half as many of these are as many words.
        change = lambda sign: _one(sign, alike, chance)  # noqa: E731
        return _swapped(text, spans, kept, share=share / 2, change=change, chance=chance)
    spans = [match.span() for match in _WORD.finditer(text) if len(match.group()) >= SHORTEST]
    change = lambda word: _mistyped(word, chance)  # noqa: E731
    return _swapped(text, spans, kept, share=share, change=change, chance=chance)


def _swapped(
    text: str,
    spans: Sequence[Span],
    kept: Sequence[Span],
    *,
    share: float,
    change: Callable[[str], str],
    chance: random.Random,
) -> str:
    """Changes a share of the spans, at least one, of those that touch nothing kept."""
    free = [
        span for span in spans if all(span[1] <= start or end <= span[0] for start, end in kept)
    ]
    count = min(len(free), max(1, round(share * len(spans))))
    parts, done = [], 0
    for start, end in sorted(chance.sample(free, count)):
        parts += [text[done:start], change(text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def _one(word: str, known: Mapping[str, Sequence[str]], chance: random.Random) -> str:
    synonym = chance.choice(known[word.lower()])
    return synonym.capitalize() if word[:1].isupper() else synonym


def _mistyped(word: str, chance: random.Random) -> str:
    """Makes an error: two letters swapped, one left out, one twice, or a neighbouring key."""
    at = chance.randrange(1, len(word) - 1)
    kind = chance.randrange(4)
    if kind == 0 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + _neighbour(word[at], chance) + word[at + 1 :]


def _neighbour(letter: str, chance: random.Random) -> str:
    for row in _KEYS:
        at = row.find(letter.lower())
        if at >= 0:
            return chance.choice([row[n] for n in (at - 1, at + 1) if 0 <= n < len(row)])
    return letter * 2


def _chinese_words(text: str) -> list[Span]:
    """Returns the spans of nouns, verbs and adjectives that are no names; a measure word or a
    pronoun has no synonym that fits its place.
    """
    spans, at = [], 0
    for word, kind in _tagger().cut(text):
        if len(word) > 1 and kind[0] in "nva" and not kind.startswith(_NAMES):
            spans.append((at, at + len(word)))
        at += len(word)
    return spans


def _tagger() -> Any:
    try:
        import jieba
        from jieba import posseg
    except ImportError:
        text = say("transforms.no_package", package="jieba", command="pip install jieba")
        raise SpecError(Problem("how", text)) from None
    jieba.setLogLevel(60)
    return posseg
