"""PDF: its bookmarks are the headings, each from its line on, or its page; without bookmarks a
page is a section. Lines that a page begins or ends with on most pages (a running title, a page
number) are left out.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from tunesmith.data.documents import Headings, Section

FEWEST = 4
"""Pages from which on a line that most of them share is taken for a running title."""


def sections(path: Path) -> Iterator[Section]:
    """Reads the sections of a PDF; ValueError for one that is damaged or locked. One that holds
    pictures of pages alone gives none.
    """
    try:
        with _in_silence():
            reader = PdfReader(path)
            if reader.is_encrypted and not reader.decrypt(""):
                raise ValueError("it is locked with a password")
            pages = _without_running([page.extract_text().splitlines() for page in reader.pages])
            starts = _bookmarks(reader)
    except (PyPdfError, OSError, KeyError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return _cut(pages, starts)


@contextmanager
def _in_silence() -> Iterator[None]:
    """Keeps pypdf from logging what it stumbles over: the error says it, and names the file."""
    logger = logging.getLogger("pypdf")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _cut(pages: list[list[str]], starts: dict[int, list[tuple[int, str]]]) -> Iterator[Section]:
    headings = Headings()
    held: list[str] = []
    first = 1
    for number, lines in enumerate(pages, 1):
        done = 0
        # A heading that is no line of its page, or a page without headings, begins a section there.
        for level, heading in starts.get(number, []) if starts else [(1, "")]:
            found_at = next(
                (at for at in range(done, len(lines)) if _same(lines[at], heading)), None
            )
            held += _joined(lines[done:found_at] if found_at is not None else [])
            if held:
                yield Section(headings.above, "\n\n".join(held), first)
            held, first = [], number
            done = done if found_at is None else found_at + 1
            if heading:
                headings.add(level, heading)
        first = first if held else number
        held += _joined(lines[done:])
    if held:
        yield Section(headings.above, "\n\n".join(held), first)


def _joined(lines: list[str]) -> list[str]:
    return ["\n".join(lines)] if lines else []


def _same(line: str, heading: str) -> bool:
    return "".join(line.split()) == "".join(heading.split())


def _bookmarks(reader: PdfReader) -> dict[int, list[tuple[int, str]]]:
    """Returns ``(level, heading)`` by page, from 1."""
    by_page: dict[int, list[tuple[int, str]]] = {}

    def walk(entries: list, level: int) -> None:
        for entry in entries:
            if isinstance(entry, list):
                walk(entry, level + 1)
                continue
            page = reader.get_destination_page_number(entry)
            if page is not None and page >= 0 and entry.title:
                by_page.setdefault(page + 1, []).append((level, str(entry.title)))

    walk(reader.outline, 1)
    return by_page


def _without_running(pages: list[list[str]]) -> list[list[str]]:
    """Leaves out the lines that stand at the edge of most pages, whatever number is in them."""
    pages = [[line.rstrip() for line in lines if line.strip()] for lines in pages]
    several = pages if len(pages) >= FEWEST else []
    edges = Counter(_shape(line) for lines in several for line in {*lines[:1], *lines[-1:]})
    running = {shape for shape, count in edges.items() if count > len(pages) / 2}
    return [_inside(lines, running) for lines in pages]


def _inside(lines: list[str], running: set[str]) -> list[str]:
    if lines and _shape(lines[0]) in running:
        lines = lines[1:]
    if lines and _shape(lines[-1]) in running:
        lines = lines[:-1]
    return lines


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", line.strip())
