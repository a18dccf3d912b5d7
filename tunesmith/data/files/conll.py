"""Files with a word a line and its tag in the last column, an empty line between sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tunesmith.data.columns.spans import TAG
from tunesmith.data.files.file_facts import Faults, FileFacts, Located
from tunesmith.words import say

SUFFIXES = (".conll", ".bio", ".iob", ".bioes")
BETWEEN = "-DOCSTART-"
_LOOKED = 200


def is_tagged(lines: Sequence[str], suffix: str) -> bool:
    """Tells whether these lines are from a CoNLL file: at least two columns, and only tags in the
    last.
    """
    if suffix in SUFFIXES:
        return True
    rows = [line.split() for line in lines[:_LOOKED] if line.strip() and BETWEEN not in line]
    several = [cells for cells in rows if len(cells) > 1]
    tags = {cells[-1] for cells in several}
    return len(several) == len(rows) > 1 and tags > {"O"} and all(map(TAG.fullmatch, tags))


def read(file: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    """Yields a row for each sentence, with the number of its first line: ``tokens`` and
    ``tags``.
    """
    tokens: list[str] = []
    tags: list[str] = []
    first = 0
    for number, line in enumerate(stream, 1):
        cells = line.split()
        if cells and cells[0] != BETWEEN:
            if len(cells) < 2 or not TAG.fullmatch(cells[-1]):
                text = say("tagged.no_tag", line=line.strip()[:60])
                faults.add(file.path, number, text)
                continue
            first = first if tokens else number
            tokens.append(cells[0])
            tags.append(cells[-1])
        elif tokens:
            yield Located(file.path, first, {"tokens": tokens, "tags": tags})
            tokens, tags = [], []
    if tokens:
        yield Located(file.path, first, {"tokens": tokens, "tags": tags})
