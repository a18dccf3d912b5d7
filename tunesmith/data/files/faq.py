"""Texts of questions and answers, ``Q: …`` and ``A: …`` or ``问：…`` and ``答：…``: a row for each
question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tunesmith.data.files.file_facts import Faults, FileFacts, Located

COLUMNS = ("question", "answer", "text")
_MARK = re.compile(
    r"\s*(?:#+\s*|[-*]\s+)?(?:\*\*)?\s*(?:(?P<asks>Q|Question|问|问题|提问)|"
    r"(?P<answers>A|Answer|答|答案|回答))\s*\d*\s*[:：](?:\*\*)?\s*(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_LOOKED = 400


def is_faq(lines: Sequence[str]) -> bool:
    """Tells whether these lines begin with a question, and questions and answers follow each other
    in turn.
    """
    marks = [mark for line in lines[:_LOOKED] if (mark := _MARK.fullmatch(line))]
    asks = [mark["asks"] is not None for mark in marks]
    opened = next(
        (line for line in lines if line.strip() and not line.lstrip().startswith("#")), ""
    )
    begins = _MARK.fullmatch(opened) or (marks and marks[0][0].lstrip().startswith("#"))
    return bool(begins) and len(asks) > 3 and asks == [n % 2 == 0 for n in range(len(asks))]


def read(file: FileFacts, stream: Any, faults: Faults) -> Iterator[Located]:
    """Yields a row for each question, with the number of its line: ``question``, ``answer`` and
    both as the ``text`` that was written.
    """
    first, side = 0, ""
    said: dict[str, list[str]] = {}
    for number, line in enumerate(stream, 1):
        mark = _MARK.fullmatch(line.rstrip("\n"))
        if mark is not None and mark["asks"] is not None:
            if first:
                yield Located(file.path, first, _row(said))
            first = number
            said = {name: [] for name in COLUMNS}
        if not first:
            continue  # a title above the first question
        if mark is not None:
            side = "question" if mark["asks"] is not None else "answer"
        said[side].append(_bare(mark["text"] if mark is not None else line))
        said["text"].append(line.rstrip("\n"))
    if first:
        yield Located(file.path, first, _row(said))


def _bare(text: str) -> str:
    """Returns a line without the end of bold type that its mark began."""
    text = text.rstrip()
    return text.removesuffix("**") if text.count("**") % 2 else text


def _row(said: dict[str, list[str]]) -> dict[str, object]:
    return {name: "\n".join(lines).strip() for name, lines in said.items()}
