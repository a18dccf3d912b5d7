"""Word documents: paragraphs whose style is a heading (Heading 1, 标题 1, Title, or one based on
them), or that have an outline level, are headings; tables are lines with | between the cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

from docx import Document
from docx.opc.exceptions import PackageNotFoundError
from docx.styles.style import ParagraphStyle
from lxml.etree import XMLSyntaxError  # type: ignore[attr-defined]

from tunesmith.data.documents import Section, cut
from tunesmith.words import say

_HEADING = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)
_CONTENTS = re.compile(r"toc ?\d", re.IGNORECASE)
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
# What was struck out, and what stands there once more for older programs.
_UNREAD = {
    *(f"{_W}del", f"{_W}moveFrom"),
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}
_SIGNS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_OLD = b"\xd0\xcf\x11\xe0"
"""How files of Word before 2007 begin, and newer ones that are locked."""
_BODY_TEXT = 9
"""Outline level of a paragraph that is no heading."""


def sections(path: Path) -> Iterator[Section]:
    """Reads the sections of a .docx file; ValueError for one that is damaged or locked."""
    if not is_zipfile(path):
        with path.open("rb") as file:
            old = file.read(len(_OLD)) == _OLD
        raise ValueError(say("documents.old_word" if old else "documents.no_word"))
    try:
        document = Document(str(path))
    except (PackageNotFoundError, BadZipFile, KeyError, XMLSyntaxError):
        raise ValueError(say("documents.no_word")) from None
    styles = [style for style in document.styles if isinstance(style, ParagraphStyle)]
    levels = {style.style_id: _level_of(style) for style in styles}
    return cut(_blocks(document.element.body, levels))


def _level_of(style: Any) -> int | None:
    """Returns the level of a style's headings, 0 for the title; None for a style of paragraphs, and
    -1 for lines of a table of contents.
    """
    while style is not None:
        name = style.name or ""
        numbered = _HEADING.match(name)
        if numbered:
            return int(numbered[1])
        if name == "Title":
            return 0
        if _CONTENTS.match(name):
            return -1
        outline = style.element.find(f"{_W}pPr/{_W}outlineLvl")
        if outline is not None:
            return _outlined(outline)
        style = style.base_style
    return None


def _outlined(outline: Any) -> int | None:
    level = int(outline.get(f"{_W}val", _BODY_TEXT))
    return level + 1 if level < _BODY_TEXT else None


def _blocks(parent: Any, levels: dict[str, int | None]) -> Iterator[tuple[int | None, str]]:
    """Yields the paragraphs and tables below an element, those in controls, insertions and boxes
    too.
    """
    for element in parent:
        if element.tag == f"{_W}p":
            text = _text(element).strip()
            level = _level(element, levels)
            if text and level != -1:
                yield level, text
            for box in _boxes(element):
                yield from _blocks(box, levels)
        elif element.tag == f"{_W}tbl":
            rows = element.iter(f"{_W}tr")
            lines = [
                " | ".join(_text(cell).strip() for cell in row.iter(f"{_W}tc")) for row in rows
            ]
            yield None, "\n".join(lines)
        elif element.tag not in _UNREAD:
            yield from _blocks(element, levels)


def _level(paragraph: Any, levels: dict[str, int | None]) -> int | None:
    outline = paragraph.find(f"{_W}pPr/{_W}outlineLvl")
    if outline is not None:
        return _outlined(outline)
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    return None if style is None else levels.get(style.get(f"{_W}val"))


def _text(element: Any) -> str:
    """Returns what is read in an element: insertions and links, but nothing that was struck out,
    and no boxes.
    """
    parts: list[str] = []
    for child in element:
        if child.tag == f"{_W}t":
            parts.append(child.text or "")
        elif child.tag in _SIGNS:
            parts.append(_SIGNS[child.tag])
        elif child.tag not in _UNREAD and child.tag != f"{_W}txbxContent":
            parts.append(_text(child))
    return "".join(parts)


def _boxes(element: Any) -> Iterator[Any]:
    for child in element:
        if child.tag == f"{_W}txbxContent":
            yield child
        elif child.tag not in _UNREAD:
            yield from _boxes(child)
