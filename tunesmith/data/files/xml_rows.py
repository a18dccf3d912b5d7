"""Rows written as XML: read as the JSON that says the same, so that all that is known of JSON files
holds for them. Rows are the elements that repeat; attributes and elements within are their columns.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tunesmith.errors import DataError, Problem
from tunesmith.words import say

ENDINGS = (".xml", ".tmx")
# Only declarations of its own can make a short document a huge one, or one that reads other files.
_DECLARED = re.compile(r"<!DOCTYPE[^>\[]*\[|<!ENTITY", re.IGNORECASE)


def as_json(text: str, path: Path) -> str:
    """Writes an XML text as JSON: a list of rows, or an object of such lists."""
    if _DECLARED.search(text):
        raise DataError(Problem(str(path), say("source.xml_declared")))
    try:
        root = ElementTree.fromstring(text.lstrip("\ufeff \t\r\n"))
        return json.dumps(_rows(root, _repeated(root), path), ensure_ascii=False)
    except ElementTree.ParseError as error:
        line, _ = error.position
        problem = say("source.not_xml", problem=str(error).partition(":")[0])
        raise DataError(Problem(f"{path}:{line}", problem)) from None
    except RecursionError:
        raise DataError(Problem(str(path), say("source.xml_deep"))) from None


def _repeated(root: ElementTree.Element) -> frozenset[tuple[str, str]]:
    """Returns the names of the elements that stand more than once in another anywhere, each behind
    the name of this other: they are lists everywhere.
    """
    return frozenset(
        (element.tag, tag)
        for element in root.iter()
        for tag, count in Counter(child.tag for child in element).items()
        if count > 1
    )


def _rows(element: ElementTree.Element, lists: frozenset[tuple[str, str]], path: Path) -> Any:
    """Returns the rows below an element: its children of the one name that repeats; where none
    does, those of the only child that has some, or of each that has some.
    """
    counts = Counter(child.tag for child in element)
    repeated = [tag for tag, count in counts.items() if count > 1]
    if len(repeated) > 1:
        names = ", ".join(map(_name, repeated))
        raise DataError(Problem(str(path), say("source.xml_rows", names=names)))
    if repeated:
        rows = [_row(child, lists) for child in element if child.tag == repeated[0]]
        columns = dict.fromkeys(name for row in rows for name in row)
        # What is empty is often left out.
        return [{name: row.get(name) for name in columns} for row in rows]
    within = [child for child in element if len(child)]
    several = [child for child in within if any((child.tag, one.tag) in lists for one in child)]
    if len(several) > 1:
        return {_name(child.tag): _rows(child, lists, path) for child in several}
    if several or len(within) == 1:
        return _rows((several or within)[0], lists, path)
    return [_row(element, lists)]


def _row(element: ElementTree.Element, lists: frozenset[tuple[str, str]]) -> dict[str, Any]:
    value = _value(element, lists)
    return value if isinstance(value, dict) else {"text": value}


def _value(element: ElementTree.Element, lists: frozenset[tuple[str, str]]) -> Any:
    """Returns what an element holds: its text, or an object of its attributes and its children.
    Marks within a text, such as those of bold words, are left out.
    """
    held: dict[str, Any] = {_name(key): value for key, value in element.attrib.items()}
    within = [element.text, *(child.tail for child in element)]
    if not len(element) or any(text and text.strip() for text in within):
        text = "".join(element.itertext()).strip()
        return {**held, "text": text} if held and text else held or text
    for child in element:
        name = _name(child.tag)
        value = _value(child, lists)
        if (element.tag, child.tag) not in lists:
            held[name] = value
        elif isinstance(held.get(name), list):
            held[name].append(value)
        else:
            held[name] = [value]
    return held


def _name(tag: str) -> str:
    """Returns a name without the address of its vocabulary."""
    return tag.rpartition("}")[2]
