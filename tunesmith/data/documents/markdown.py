"""Markdown: headings with # or underlined by === or ---, outside of fences of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tunesmith.data.documents import Section, cut, text_of

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)\s*$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")


def sections(path: Path) -> Iterator[Section]:
    """Reads the sections of a Markdown file; front matter in YAML is left out."""
    return cut(_blocks(re.sub(r"\A---\n.*?\n---\n", "", text_of(path), flags=re.DOTALL)))


def _blocks(text: str) -> Iterator[tuple[int | None, str]]:
    paragraph: list[str] = []
    fence = ""
    for line in text.splitlines():
        opened = _FENCE.match(line)
        if opened and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else opened[1]
        heading = None if fence else _HEADING.match(line)
        underline = None if fence or len(paragraph) != 1 else _UNDERLINE.match(line)
        if heading or (not line.strip() and not fence):
            if paragraph:
                yield None, "\n".join(paragraph)
            paragraph = []
            if heading and heading[2]:
                yield len(heading[1]), heading[2]
        elif underline and paragraph[0].strip():
            yield (1 if underline[1][0] == "=" else 2), paragraph[0]
            paragraph = []
        else:
            paragraph.append(line)
    if paragraph:
        yield None, "\n".join(paragraph)
