"""What the words after a verb mean: a file, settings over it, or a peer's ``--key value`` line,
which is answered in our keys.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from tunesmith.errors import SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.import_peers import (
    command_line,
    peer_command,
    peer_of,
    shell_words,
    translate,
)
from tunesmith.settings.spec import closest
from tunesmith.words import say

FLAGS = ["--against", "--base", "--json", "--lang", "--measure", "--overfit", "--probe", "--resume"]
FLAGS += ["--rlhf-type", "--row", "--submit"]
"""The options of the verbs that take settings; other words with dashes are settings."""
RUN_SUFFIXES = (".yaml", ".yml")


def settings_line(words: Sequence[str], lang: str = "auto") -> tuple[str | JsonObject, list[str]]:
    """Returns the settings to start from, a file's path or nothing, and the overrides."""
    if words and Path(words[0]).suffix == ".sh" and os.path.isfile(words[0]):
        text = Path(words[0]).read_text(encoding="utf-8")
        peer = peer_command(shell_words(text))
        raise SpecError(peer or say("peers.no_command", path=words[0]))
    _no_flags(words)
    language = [] if lang == "auto" else [f"lang={lang}"]
    if not words:
        raise SpecError(say("cli.nothing_given"))
    if is_file(words[0]):
        return words[0], [*words[1:], *language]
    return {}, [*words, *language]


def is_file(word: str) -> bool:
    """Tells whether a word names a file of settings, and is neither a setting nor a flag."""
    return not word.startswith("--") and ("=" not in word or os.path.isfile(word))


def one_word(name: str, words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Takes ``name=value``, which is of the verb and not of the run, out of the words."""
    given = [word for word in words if word.startswith(f"{name}=")]
    rest = [word for word in words if word not in given]
    return (given[-1].partition("=")[2] if given else None), rest


def check_line(words: Sequence[str], lang: str = "auto") -> tuple[str | JsonObject, list[str]]:
    """Does the same for ``check``, where a first word that is no run.yaml is the data."""
    if (
        words
        and "=" not in words[0]
        and not words[0].startswith("--")
        and Path(words[0]).suffix not in (*RUN_SUFFIXES, ".sh")
    ):
        words = [f"data={words[0]}", *words[1:]]
    return settings_line(words, lang)


def files_and_settings(
    words: Sequence[str], step: str, least: int, most: int | None = None
) -> tuple[list[str], list[str]]:
    """Splits ``tunesmith data STEP IN OUT key=value`` into the files and the settings behind them;
    there are ``least`` files up to ``most``, of which that is written comes last.
    """
    _no_flags(words)
    given = list(
        takewhile(lambda word: "=" not in word or os.path.isfile(word), words[: most or len(words)])
    )
    if len(given) < least:
        key = "transforms.what_in_out" if most is not None else "transforms.what_ins_out"
        raise SpecError(say(key, step=step))
    return given, list(words[len(given) :])


def _no_flags(words: Sequence[str]) -> None:
    """Raises SpecError for ``--key value``: a peer's line as ours, other flags as they are written
    here.
    """
    first = next(
        (index for index, word in enumerate(words) if word.startswith("--") and len(word) > 2), None
    )
    if first is None:
        return
    given = command_line(words[first:])
    assert given is not None, "the first of these words is a flag"
    peer = peer_of(given)
    if peer is not None:
        raise SpecError(translate(given, peer).text())
    pairs = " ".join(
        f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in given.items()
    )
    hint = closest(words[first].partition("=")[0], FLAGS)
    raise SpecError(say("cli.no_flags", pairs=pairs, hint=hint))
