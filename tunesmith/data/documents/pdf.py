"""PDF: its bookmarks are the headings, each from its page on; without bookmarks a page is a
section. Lines that a page begins or ends with on most pages (a running title, a page number) are
left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
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
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("it is locked with a password")
        pages = _without_running([page.extract_text().splitlines() for page in reader.pages])
        starts = _bookmarks(reader)
    except (PyPdfError, OSError, KeyError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return _cut(pages, starts)


def _cut(pages: list[str], starts: dict[int, list[tuple[int, str]]]) -> Iterator[Section]:
    headings = Headings()
    held: list[str] = []
    first = 1
    for number, text in enumerate(pages, 1):
        if held and (number in starts or not starts):
            yield Section(headings.above, "\n\n".join(held), first)
            held = []
        for level, heading in starts.get(number, []):
            headings.enter(level, heading)
        if text and not held:
            first = number
        held += [text] if text else []
    if held:
        yield Section(headings.above, "\n\n".join(held), first)


def _bookmarks(reader: PdfReader) -> dict[int, list[tuple[int, str]]]:
    """Returns ``(level, heading)`` by page, from 1."""
    found: dict[int, list[tuple[int, str]]] = {}

    def walk(entries: list, level: int) -> None:
        for entry in entries:
            if isinstance(entry, list):
                walk(entry, level + 1)
                continue
            page = reader.get_destination_page_number(entry)
            if page is not None and page >= 0 and entry.title:
                found.setdefault(page + 1, []).append((level, str(entry.title)))

    walk(reader.outline, 1)
    return found


def _without_running(pages: list[list[str]]) -> list[str]:
    """Joins the lines of each page, without those that stand at the edge of most pages, whatever
    number is in them.
    """
    pages = [[line.rstrip() for line in lines if line.strip()] for lines in pages]
    several = pages if len(pages) >= FEWEST else []
    edges = Counter(_shape(line) for lines in several for line in {*lines[:1], *lines[-1:]})
    running = {shape for shape, count in edges.items() if count > len(pages) / 2}
    return ["\n".join(_inside(lines, running)) for lines in pages]


def _inside(lines: list[str], running: set[str]) -> list[str]:
    if lines and _shape(lines[0]) in running:
        lines = lines[1:]
    if lines and _shape(lines[-1]) in running:
        lines = lines[:-1]
    return lines


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", line.strip())
