"""One file of the rows and how it is read: what its reader is given, and what it leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.data.columns.cells import WRITTEN, alone, as_json, first_answer, is_passages
from tunesmith.data.columns.inner import holds, value_at
from tunesmith.data.columns.labels import label_column
from tunesmith.data.columns.names import CAME_FROM
from tunesmith.data.columns.turns import LISTS, NUMBERS, SYSTEM, TURNS, json_list, no_number
from tunesmith.data.files import keyed_answers
from tunesmith.data.files.numbers import without_zero
from tunesmith.data.files.paths import on_disk
from tunesmith.data.files.row_keys import TRAIN
from tunesmith.data.files.sources import Faults, FileFacts, rows
from tunesmith.data.files.tables import all_numbers
from tunesmith.data.readers import Reader
from tunesmith.plain import JsonObject, Row
from tunesmith.words import say


@dataclass
class Opened:
    """One file and how it is read."""

    facts: FileFacts
    reader: Reader
    columns: Mapping[str, str]
    weight: float = 1.0
    rows: int = 0
    """Rows that were taken, the dropped ones too; known after the reading."""
    told_by: str | None = None
    """Where ``columns`` come from, when it is not the user: template, or cells."""
    label: str | None = None
    """The class of all rows of the file, where its name says it."""
    gapped: frozenset[str] = frozenset()
    """Columns of whole numbers that a gap turned into ``3.0``."""
    numbers: frozenset[str] = frozenset()
    """Columns whose texts are numbers, in which "nan" is an empty cell."""
    printed: frozenset[str] = frozenset()
    """Columns of a table in which each text stands in a list of one, as Python prints it."""


def prepared(row: JsonObject, opened: Opened) -> tuple[JsonObject, list[str]]:
    """Returns the row with our names added and one-element lists unwrapped, and what was
    changed.
    """
    if opened.gapped:
        row = {
            name: without_zero(value) if name in opened.gapped else value
            for name, value in row.items()
        }
    named = named_row(row, opened.columns)
    if opened.label is not None:
        named["label"] = opened.label
    changes: list[str] = []
    for name in opened.reader.fields:
        value = named.get(name)
        theirs = opened.columns.get(name, name)
        if isinstance(value, str):
            if name in WRITTEN and theirs in opened.printed and (text := alone(value)) is not None:
                named[name] = text
                changes.append("unwrapped")
            elif (
                theirs in opened.numbers
                and value.strip().lower() == "nan"
                and (
                    # Elsewhere a number that is meant as one is no text, and "nan" its fault.
                    name in WRITTEN or opened.facts.format in ("csv", "tsv")
                )
            ):
                named[name] = ""
            continue
        if name in LISTS or name in TURNS:
            continue
        passages = name == "input" and is_passages(name, [named])
        if passages and isinstance(value, list) and len(value) > 1:
            named[name] = "\n\n".join(value)
            changes.append("passages")
            continue
        several = "answers" if name == opened.reader.learned else theirs
        if (single := first_answer(value, several)) is not value:
            named[name] = single
            changes.append("unwrapped" if isinstance(value, list) and len(value) == 1 else "first")
        elif name in WRITTEN and (written := as_json(value)) is not value:
            named[name] = written
            changes.append("json")
        elif name not in NUMBERS and isinstance(value, int | float) and not no_number(value):
            changes.append("numbers")
    return named, list(dict.fromkeys(changes))


def named_row(row: Row, columns: Mapping[str, str]) -> JsonObject:
    """Adds our names to a row, beside its own."""
    named = {ours: value_at(row, theirs) for ours, theirs in columns.items() if holds(row, theirs)}
    return {**row, **named}


def number_columns(known: FileFacts, first: Sequence[Row]) -> frozenset[str]:
    """Returns the columns whose first cells, where they are texts, are all numbers."""
    return frozenset(
        name for name in known.columns if all_numbers([row.get(name) for row in first])
    )


def printed_columns(known: FileFacts, first: Sequence[Row]) -> frozenset[str]:
    """Returns the columns of a table whose first cells are all lists of one text."""
    if known.format not in ("csv", "tsv", "excel"):
        return frozenset()
    cells = {name: [row[name] for row in first if row.get(name)] for name in known.columns}
    return frozenset(name for name, held in cells.items() if held and None not in map(alone, held))


def labels_in(opened: Opened) -> Iterator[str]:
    """Yields the label of each row of a file, as it is written; empty where a row has none."""
    for located in rows(opened.facts.path, columns=opened.columns, faults=Faults()):
        row = named_row(located.row, opened.columns)
        name = label_column(row)
        yield opened.label or (str(row[name]) if name is not None else "")


def notes_of(facts: FileFacts) -> list[str]:
    """Returns what a person should know about how the file was opened, before any reader."""
    notes: list[str] = []
    if facts.key and not on_disk(facts.path)[1]:
        key = ".".join(facts.key)
        part = "part" if facts.key[-1].casefold() in TRAIN else "inside"
        notes.append(say(f"reader.note_{part}", file=facts.path.name, key=key))
    if facts.format == keyed_answers.FORMAT:
        notes.append(say("reader.note_keyed", file=facts.path.name))
    if facts.notes:
        sheets = ", ".join(facts.notes)
        notes.append(say("reader.note_sheets", file=facts.path.name, sheets=sheets))
    if facts.unfolded:
        columns = ", ".join(facts.unfolded)
        notes.append(say("reader.note_unfolded", file=facts.path.name, columns=columns))
    if facts.parts:
        columns = ", ".join(facts.cells)
        notes.append(say(f"reader.note_of_{facts.parts}", file=facts.path.name, columns=columns))
    if facts.threads:
        notes.append(say(f"reader.note_{facts.threads}", file=facts.path.name))
    if facts.published:
        layout = facts.published
        notes.append(say("reader.note_published", file=facts.path.name, layout=layout))
    if facts.together:
        columns = ", ".join(facts.together)
        notes.append(say("reader.note_together", file=facts.path.name, columns=columns))
    return notes


def unused(opened: Opened) -> list[str]:
    """Returns the columns of a file that its reader does not read."""
    read = opened.reader.uses([*opened.facts.columns, *opened.columns])
    used = {*opened.columns.values(), *read, *TURNS, *SYSTEM, "id", CAME_FROM}
    if opened.facts.format == "questions and answers":
        used.add("text")  # what its question and its answer say already
    used |= {name.partition(".")[0] for name in used if name not in opened.facts.columns}
    return [name for name in opened.facts.columns if name not in used]


def unused_note(opened: Opened, in_template: Collection[str]) -> list[str]:
    """Says which columns neither the reader of a file nor the template reads, where there are
    any.
    """
    left = ", ".join(name for name in unused(opened) if name not in in_template)
    return [say("reader.note_unused", file=opened.facts.path.name, columns=left)] if left else []


_ASKED_IN_TURNS = ("chosen", "kto_tag", "ranked", "winner")
"""Fields of the readers to which what is asked may be given in turns."""


def unread(row: JsonObject, opened: Opened) -> JsonObject:
    """Returns the columns of a row that the reader of its file does not read, or of which it takes
    the first of several answers.
    """
    used = {*opened.columns.values(), *opened.reader.uses([*row, *opened.columns])}
    if {*TURNS, *_ASKED_IN_TURNS} & opened.reader.fields.keys():
        used |= {next((name for name in TURNS if json_list(row.get(name))), "")}
    learned = opened.reader.learned or ""
    answers = row.get(column := opened.columns.get(learned, learned))
    if isinstance(answers, dict) or len(json_list(answers) or ()) > 1:
        used.discard(column)
    return {name: value for name, value in row.items() if name not in used}
