"""PDF: its bookmarks are the headings, each from its line on, or its page; without bookmarks a
page is a section. Lines that pages begin or end with again and again (a running title, a page
number) are left out, and a sentence that runs over lines is joined.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from tunesmith.data.documents import Headings, Section
from tunesmith.words import say

FEWEST = 4
"""Pages from which on a line that most of them share is taken for a running title."""
EDGE = 3
"""Lines at each edge of a page that may be running ones: a title, its line, a page number."""
OVER = 3
"""Lines that a heading may run over."""
FULL = 0.75
"""A line that goes on is at least this share of the page's long lines."""
_DAMAGE = (
    *(PyPdfError, zlib.error, OSError, RuntimeError, AssertionError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
)
"""What pypdf raises over pages of which parts are missing, by what was expected there."""
_WIDE = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
_ENDED = re.compile(r"[.!?。！？；;:：][\"'”’」』)）]*$")
_ITEM = re.compile(r"(?:[•·▪*–-]|[(（]?\d+[.、)）]|第.{1,4}[章节条])")
_NUMBER = re.compile(r"[^\w]*(?:page|第)?\s*\d+\s*(?:页|(?:of|/)\s*\d+)?[^\w]*", re.IGNORECASE)


def sections(path: Path) -> Iterator[Section]:
    """Reads the sections of a PDF; ValueError for one that is damaged or locked. One that holds
    pictures of pages alone gives none.
    """
    try:
        with _in_silence():
            reader = PdfReader(path)
            if reader.is_encrypted and not reader.decrypt(""):
                raise ValueError(say("documents.locked"))
            pages = _without_running(_lines(reader))
            starts = _bookmarks(reader)
    except DependencyError:
        raise ValueError(say("documents.encrypted")) from None
    except (PyPdfError, OSError, KeyError, RecursionError) as error:
        raise ValueError(say("documents.no_pdf", error=error)) from None
    return _cut(pages, starts)


def _lines(reader: PdfReader) -> list[list[str]]:
    """Returns the lines of each page that hold anything; ValueError names a page that is
    damaged.
    """
    pages: list[list[str]] = []
    for number, page in enumerate(reader.pages, 1):
        try:
            text = page.extract_text()
        except _DAMAGE:
            raise ValueError(say("documents.page", page=number)) from None
        pages.append([line.rstrip() for line in text.splitlines() if line.strip()])
    return pages


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
            start, end = _place(lines, heading, done) or (done, done)
            _add(held, _joined(lines[done:start]))
            if held:
                yield Section(headings.above, "\n\n".join(held), first)
            held, first = [], number
            done = end
            if heading:
                headings.add(level, heading)
        first = first if held else number
        _add(held, _joined(lines[done:]))
    if held:
        yield Section(headings.above, "\n\n".join(held), first)


def _add(held: list[str], text: str) -> None:
    """Adds what a page goes on with; a sentence that runs over two pages is one."""
    between = _between(held[-1], text) if held and text else None
    if between is not None:
        before = held.pop()
        text = (before if between != "-" else before[:-1]) + between.strip("-") + text
    held += [text] if text else []


def _place(lines: list[str], heading: str, after: int) -> tuple[int, int] | None:
    """Returns the first lines from ``after`` on that are the heading; None where there are none."""
    wanted = "".join(heading.split())
    for start in range(after, len(lines)):
        bare = ("".join(line.split()) for line in lines[start : start + OVER])
        for count, text in enumerate(accumulate(bare), 1):
            if text == wanted:
                return start, start + count
    return None


def _joined(lines: list[str]) -> str:
    """Returns the lines as one text, a sentence that runs over several joined."""
    if not lines:
        return ""
    widths = [len(line) + len(_WIDE.findall(line)) for line in lines]
    full = FULL * sorted(widths)[len(widths) * 3 // 4]
    parts = [lines[0]]
    for before, width, line in zip(lines, widths, lines[1:], strict=False):
        between = _between(before, line) if width >= full else None
        if between is None:
            parts.append(f"\n{line}")
        else:
            parts[-1] = parts[-1] if between != "-" else parts[-1][:-1]
            parts.append(f"{between.strip('-')}{line}")
    return "".join(parts)


def _between(before: str, line: str) -> str | None:
    """Returns what stands between two lines of a sentence: nothing, a space, or ``-`` for a word
    that was parted; None where the second may begin anew.
    """
    if _ENDED.search(before) or _ITEM.match(line):
        return None
    if _WIDE.match(before[-1]) and _WIDE.match(line):
        return ""
    # A capital may begin the next row of a table.
    if not line[0].islower():
        return None
    word = before.split()[-1]
    parted = word.endswith("-") and word[:-1].isalpha()
    return "-" if parted else " "


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
    """Leaves out the lines that stand at the edge of most pages, whatever number is in them; of
    fewer pages those that are the same on all, and page numbers.
    """
    filled = sum(bool(lines) for lines in pages)
    many = filled >= FEWEST
    for turn in range(EDGE if filled > 1 else 0):
        # Below the outermost line the same words with another number may be the text itself.
        shaped = _shape if many and not turn else _as_it_is
        edges = Counter(shaped(line) for lines in pages for line in {*lines[:1], *lines[-1:]})
        least = filled // 2 + 1 if many else filled
        running = {shape for shape, count in edges.items() if count >= least}
        pages = [_inside(lines, running, shaped) for lines in pages]
    return pages


def _inside(lines: list[str], running: set[str], shaped: Callable[[str], str]) -> list[str]:
    if lines and shaped(lines[0]) in running:
        lines = lines[1:]
    if lines and shaped(lines[-1]) in running:
        lines = lines[:-1]
    return lines


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", line.strip())


def _as_it_is(line: str) -> str:
    return "0" if _NUMBER.fullmatch(line) else line.strip()
