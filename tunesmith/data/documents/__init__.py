"""Documents as people have them (PDF, Word, HTML, Markdown), read as sections: one format a file,
which gives the sections in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tunesmith.data.files.decoding import encoding_of, open_text

FORMATS = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".markdown": "markdown",
}
"""The module of this folder that reads files with this ending."""
PACKAGES = {"pdf": "pypdf", "docx": "docx", "html": "lxml"}
"""What a format needs; it is installed with ``tunesmith[documents]``."""


@dataclass(frozen=True)
class Section:
    """The text between one heading and the next; ``headings`` are those above it, the outermost
    first.
    """

    headings: tuple[str, ...]
    text: str
    page: int | None = None
    """Its first page, from 1; None where the format has none."""


def reader_of(path: Path) -> Callable[[Path], Iterator[Section]]:
    """Returns what reads this kind of document; it raises ValueError for one that is damaged or
    locked.
    """
    return import_module(f"{__name__}.{FORMATS[path.suffix.lower()]}").sections


def text_of(path: Path) -> str:
    """Reads a text file in the encoding in which all of its bytes are valid; DataError where there
    is none.
    """
    with open_text(path, encoding_of(path)) as stream:
        return stream.read().removeprefix("\ufeff")


class Headings:
    """The headings above the place that is being read."""

    def __init__(self) -> None:
        self._levels: list[tuple[int, str]] = []

    def add(self, level: int, heading: str) -> None:
        """Adds a heading; those of its level and below end."""
        self._levels = [heading_above for heading_above in self._levels if heading_above[0] < level]
        self._levels.append((level, " ".join(heading.split())))

    @property
    def above(self) -> tuple[str, ...]:
        """The headings, the outermost first."""
        return tuple(heading for _, heading in self._levels)


def cut(blocks: Iterator[tuple[int | None, str]]) -> Iterator[Section]:
    """Cuts ``(level, text)`` into sections: level 0 to 9 is a heading, None a paragraph. A heading
    without a paragraph below it gives no section.
    """
    headings = Headings()
    paragraphs = []
    for level, text in blocks:
        if level is None:
            paragraphs.append(text)
            continue
        if paragraphs:
            yield Section(headings.above, "\n\n".join(paragraphs))
        paragraphs = []
        headings.add(level, text)
    if paragraphs:
        yield Section(headings.above, "\n\n".join(paragraphs))
