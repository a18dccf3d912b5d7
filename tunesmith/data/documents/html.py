"""HTML: h1 to h6 are headings; a block is a paragraph. Navigation, and what a browser does not
show, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lxml import etree  # type: ignore[attr-defined]
from lxml import html as parsing

from tunesmith.data.documents import Section, cut, text_of

UNSEEN = "//script|//style|//noscript|//template|//head|//nav|//comment()"
BLOCKS = frozenset(
    [
        *("address", "article", "aside", "blockquote", "body", "div", "figcaption", "figure"),
        *("fieldset", "footer", "form", "header", "hr", "main", "p", "pre", "section"),
        *("dd", "dl", "dt", "li", "ol", "ul", "table", "tr"),
    ]
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}


def sections(path: Path) -> Iterator[Section]:
    """Reads the sections of a page; ValueError where it holds none."""
    try:
        # What a page says of its encoding is often missing, and sometimes wrong.
        written = text_of(path).encode("utf-8")
        page = parsing.document_fromstring(written, parser=parsing.HTMLParser(encoding="utf-8"))
    except etree.ParserError as error:
        raise ValueError(str(error)) from None
    for part in page.xpath(UNSEEN):
        part.drop_tree()
    return cut(_blocks(page))


def _blocks(page: parsing.HtmlElement) -> Iterator[tuple[int | None, str]]:
    parts: list[str] = []

    def ended() -> Iterator[tuple[int | None, str]]:
        text = " ".join("".join(parts).split())
        parts.clear()
        if text:
            yield None, text

    for event, element in etree.iterwalk(page, events=("start", "end")):
        name = element.tag
        started = event == "start"
        if name in BLOCKS or name in HEADINGS or name == "br":
            yield from ended()
        if started and name in HEADINGS:
            yield HEADINGS[name], " ".join("".join(element.itertext()).split())
        elif started and name == "pre":
            written = "".join(element.itertext()).strip("\n")
            yield from [(None, written)] if written.strip() else []
        elif started and element.text and not _is_taken(element):
            parts.append(element.text)
        if started:
            continue
        if name in ("td", "th") and element.getnext() is not None:
            parts.append(" | ")
        if element.tail and not _is_taken(element.getparent()):
            parts.append(element.tail)
    yield from ended()


def _is_taken(element: parsing.HtmlElement | None) -> bool:
    """Tells whether the text of an element is that of a heading, or of text as it is written."""
    while element is not None:
        if element.tag in HEADINGS or element.tag == "pre":
            return True
        element = element.getparent()
    return False
