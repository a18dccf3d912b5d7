"""Files that hold the texts of one class each: the name of the file says which, or, where a class
is a folder of files, a text each, that of the folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from tunesmith.data.files.paths import on_disk
from tunesmith.data.files.sources import DOCUMENT, Faults, facts, rows
from tunesmith.data.opened_file import Opened
from tunesmith.data.readers import READERS
from tunesmith.words import say

_ENDS = (".txt", ".txt.gz")


def as_documents(files: Sequence[Path]) -> list[Path]:
    """Returns the files of folders that are classes, each as one text; the files unchanged where
    they do not lie so: in several folders side by side, some of which hold several files.

    Files beside these folders belong to no class, and are left out.
    """
    if not files or not all(file.name.lower().endswith(_ENDS) for file in files):
        return list(files)
    folders = {file.parent for file in files}
    classes = {one for one in folders if not any(one in other.parents for other in folders)}
    inside = [file for file in files if file.parent in classes]
    first = {file.parent: file for file in reversed(inside)}
    if len(classes) < 2 or len(inside) == len(classes) or not all(map(is_bare, first.values())):
        return list(files)
    return [file.with_name(f"{file.name}#{DOCUMENT}") for file in inside]


def is_bare(file: Path) -> bool:
    """Tells whether a file holds nothing but texts, none of which names its class."""
    columns = facts(file).columns
    row = next((located.row for located in islice(rows(file, faults=Faults()), 1)), {})
    return columns == ("text",) and not READERS.get("label_first").matches(frozenset(columns), row)


def class_of(file: Path) -> str:
    """Returns the class that a file of texts belongs to."""
    whole, part = on_disk(file)
    return whole.parent.name if part == DOCUMENT else whole.name.partition(".")[0]


def class_notes(opened: Sequence[Opened]) -> list[str]:
    """Returns a line for each file that is a class, and for each folder that is one."""
    named = [one for one in opened if one.label is not None]
    notes = [
        say("labelled.note_file", file=one.facts.path.name, label=one.label)
        for one in named
        if one.facts.format != DOCUMENT
    ]
    folders = Counter(one.label for one in named if one.facts.format == DOCUMENT)
    notes += [
        say("labelled.note_folder", label=label, count=count) for label, count in folders.items()
    ]
    return notes
