"""What a person reads, in English and Chinese: ``words/en/TOPIC.toml`` and ``words/zh/TOPIC.toml``
hold the same keys.
"""

from __future__ import annotations

import locale
import os
import re
import string
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LANGUAGES = ("en", "zh")
SOME = 10
"""Places of rows that a line names."""

_chosen: str | None = None
_asked = False


def use(language: str, *, asked: bool = False) -> None:
    """Chooses the language for this process; ``auto`` follows the locale. ``asked`` says that a
    person named it just now.
    """
    global _chosen, _asked
    _chosen = None if language == "auto" else language
    _asked = asked and language != "auto"


def asked() -> bool:
    """Tells whether a person named the language on the command line, which takes precedence over a
    run's file.
    """
    return _asked


def language() -> str:
    """Returns the current language: the chosen one, else that of the locale, else English."""
    if _chosen:
        return _chosen
    name = (
        os.environ.get("LC_ALL")
        or os.environ.get("LC_MESSAGES")
        or os.environ.get("LANG")
        or (locale.getlocale()[0] or "")
    )
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


@cache
def texts(language: str, topic: str) -> dict[str, str]:
    """Reads all texts of one topic."""
    return tomllib.loads(
        (Path(__file__).parent / language / f"{topic}.toml").read_text(encoding="utf-8")
    )


class _Filling(string.Formatter):
    """``str.format``, and a word that follows a number: ``{rows:row|rows}`` is the first for 1,
    else the second.
    """

    def format_field(self, value: object, format_spec: str) -> Any:
        single, bar, many = format_spec.partition("|")
        if bar:
            return single if str(value) == "1" else many
        return super().format_field(value, format_spec)


_FILL = _Filling()
_SHARE = re.compile(r"[+−-]?[\d.,]+ %$")


def filled(text: str, values: Mapping[str, object], language: str) -> str:
    """Fills ``values`` into the text, shares as they are written in that language; a text without
    values is not formatted, and its braces are braces, unless they are doubled as in the other
    texts.
    """
    if language == "zh":
        values = {
            name: _in_chinese(value) if isinstance(value, str) and _SHARE.match(value) else value
            for name, value in values.items()
        }
    return _FILL.vformat(text, (), values) if values or "{{" in text else text


class Share(str):
    """A share as English pages write it, 30 %; what a person gave is none, whatever it looks
    like.
    """

    __slots__ = ()


def written(value: object, language: str) -> object:
    """Returns a Share as it is written in a language; any other value as it is."""
    return _in_chinese(value) if language == "zh" and isinstance(value, Share) else value


def _in_chinese(share: str) -> str:
    """Writes 30% where English pages have 30 %."""
    return share.replace(" %", "%")


class Said(str):
    """A text that knows its ``key``: two texts with the same key say the same of two things."""

    __slots__ = ("key",)

    def __new__(cls, text: str, key: str = "") -> Said:
        """Makes the text with its key."""
        said = super().__new__(cls, text)
        said.key = key
        return said

    def __reduce__(self) -> tuple[type[Said], tuple[str, str]]:
        """Returns what another process makes it of."""
        return Said, (str(self), self.key)


def say(key: str, /, **values: object) -> str:
    """Returns the text ``topic.name`` in the current language, with ``values`` filled in; it is
    Said.
    """
    topic, _, name = key.partition(".")
    text = texts(language(), topic)[name]
    return Said(filled(text, values, language()), key)


def translated(key: str, english: str) -> str:
    """Returns ``english``, or the text of ``key`` where the current language is another and has
    one: a plug-in from outside has only its own words.
    """
    topic, _, name = key.partition(".")
    return english if language() == "en" else texts(language(), topic).get(name, english)


def metric_name(name: str) -> str:
    """Returns the usual name of a metric; one from outside keeps its own name."""
    return texts(language(), "metric").get(name, name)


def some(places: Sequence[str]) -> str:
    """Returns the first places of rows, and an ellipsis where there are more."""
    return ", ".join(places[:SOME]) + (", …" if len(places) > SOME else "")
