"""Word documents: paragraphs whose style is a heading (Heading 1, 标题 1, Title) are headings;
tables are lines with | between the cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

from docx import Document
from docx.opc.exceptions import PackageNotFoundError
from docx.table import Table

from tunesmith.data.documents import Section, cut

_HEADING = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)


def sections(path: Path) -> Iterator[Section]:
    """Reads the sections of a .docx file; ValueError for one that is damaged or locked."""
    try:
        document = Document(str(path))
    except (PackageNotFoundError, BadZipFile, KeyError) as error:
        raise ValueError(str(error)) from None
    return cut(_blocks(document))


def _blocks(document: object) -> Iterator[tuple[int | None, str]]:
    for part in document.iter_inner_content():  # type: ignore[attr-defined]
        if isinstance(part, Table):
            lines = [" | ".join(cell.text.strip() for cell in row.cells) for row in part.rows]
            yield None, "\n".join(lines)
            continue
        text = part.text.strip()
        name = part.style.name or ""
        numbered = _HEADING.match(name)
        if text and (numbered or name == "Title"):
            yield (int(numbered[1]) if numbered else 1), text
        elif text:
            yield None, text
