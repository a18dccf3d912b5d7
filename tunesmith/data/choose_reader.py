"""Which reader a file needs: decided by its columns, and where they do not decide, asked for with
the line that settles it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.data.columns.inner import holds, opened, value_at
from tunesmith.data.columns.meaning import Meaning
from tunesmith.data.columns.names import DOCUMENT, ranked
from tunesmith.data.columns.turns import shown
from tunesmith.data.files.keyed_answers import may_be_answers
from tunesmith.data.files.sources import FileFacts, Located
from tunesmith.data.readers import READERS, Reader
from tunesmith.data.recognise_columns import (
    filled,
    from_template,
    holds_pictures,
    rating,
    recognise,
    says_more,
    template_for,
)
from tunesmith.data.rendering.template import USUAL
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Feedback, Labelled, Preference, Tagged, Text, TextPair
from tunesmith.plain import JsonObject, Row
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.overrides import to_paste
from tunesmith.settings.spec import closest
from tunesmith.words import language, say, texts

ANSWERS = ("output", "answer", "completion", "response", "target")
"""Columns of which one may be missing from a file of questions."""


@dataclass(frozen=True)
class Chosen:
    """A reader and which of our names mean which columns."""

    reader: Reader
    columns: Mapping[str, str] = field(default_factory=dict)
    told_by: str | None = None
    """What told it where the user did not: template, or cells (the columns themselves)."""


def choose(
    known: FileFacts,
    first: Sequence[Located],
    *,
    columns: Mapping[str, str] | None = None,
    reader: str | None = None,
    eats: type = Chat,
    template: Callable[[], Sequence[str]] | None = None,
    more: Callable[[], Sequence[Mapping[str, object]]] | None = None,
) -> Chosen:
    """Chooses the reader for a file from its first rows; raises DataError, with the one line that
    settles it, when no reader or several match.

    A reader that gives what ``eats`` asks for and knows the columns comes first; then ``template``,
    the columns that a format names; then what names and cells of ``more`` rows leave no doubt of.
    Another reader is given only where no column could be meant otherwise, for the error that names
    its objective.
    """
    columns = columns or {}
    sample = more() if more else [located.row for located in first]
    known = replace(known, columns=filled(known.columns, sample))
    families = {name: READERS.get(name) for name in ([reader] if reader else READERS.names())}
    row = dict(first[0].row) if first else {}
    problems = _mapping_problems(known, columns, families, eats=eats, row=row)
    if problems:
        raise DataError(problems)
    if reader:
        return Chosen(families[reader](), columns)
    row |= {ours: value_at(row, theirs) for ours, theirs in columns.items()}
    able = {name: cls for name, cls in families.items() if cls.fields.keys() >= columns.keys()}
    wanted = {name: cls for name, cls in able.items() if cls.gives is eats}
    matching = _matching(wanted, known, columns, row)
    if columns and eats is not Chat and len(wanted) == 1:
        matching = list(wanted)  # the only reader of this kind that has the fields that were named
    if len(matching) == 1:
        return Chosen(families[matching[0]](), columns)
    guess = None
    if not columns and not matching:
        used = template() if template and eats is Chat else []
        reader_named = from_template([name for name in used if name in known.columns])
        if reader_named is not None:
            return _told(known, first, Meaning(reader_named, True), eats, "template")
        guess = recognise(eats, known.columns, sample)
        if guess is not None and guess.sure:
            return _told(known, first, guess, eats, "cells")
    labelled: list[str] = []
    # What only one reader reads is meant for it, whatever its other columns are called; but answers
    # with a rating are nearly what is wanted, and lose it as a conversation.
    graded = not columns and eats in (Feedback, Preference) and rating(known.columns, sample)
    if not matching and not graded and (guess is None or guess.reader is None):
        others = {name: cls for name, cls in able.items() if name not in wanted}
        matching, labelled = _of_another_kind(others, _matching(others, known, columns, row), eats)
        if not columns and [families[name].gives for name in matching] == [Text]:
            matching = [] if says_more(known.columns, sample) else matching
    if len(matching) == 1:
        return Chosen(families[matching[0]](), columns)
    text = _undecided(
        known, sample, eats, matching=matching, named=bool(columns), guess=guess, labelled=labelled
    )
    raise DataError(Problem(str(known.path), text))


def choose_unanswered(
    known: FileFacts,
    first: Sequence[Located],
    columns: Mapping[str, str],
    reader: str | None,
) -> Chosen | None:
    """Chooses the reader for a file as if it had a column with answers; None where it has one, for
    then it is to be said which, and where no reader matches.
    """
    if any(name.casefold() in USUAL for name in known.columns):
        return None
    for name in ANSWERS:
        wider = replace(known, columns=(*known.columns, name))
        filled = [replace(located, row={**located.row, name: ""}) for located in first]
        with suppress(DataError):
            return choose(wider, filled, columns=columns, reader=reader)
    return None


def completed(row: Row, named: Row, reader: Reader) -> JsonObject:
    """Returns the row, which has our names in ``named``, with an empty field for each that it
    lacks.
    """
    if reader.matches(frozenset(named), named):
        return dict(row)
    return {name: "" for name in reader.fields if name not in named} | dict(row)


def _told(
    known: FileFacts, first: Sequence[Located], meaning: Meaning, eats: type, told_by: str
) -> Chosen:
    """Returns the reader for columns whose meaning is already recognised."""
    chosen = choose(known, first, columns=meaning.columns, reader=meaning.reader, eats=eats)
    return Chosen(chosen.reader, meaning.columns, told_by)


def _of_another_kind(
    families: Mapping[str, Any], found: list[str], eats: type
) -> tuple[list[str], list[str]]:
    """Returns the matching readers of other kinds, and those of labelled rows, which may be meant
    as answers and so need a question to the user.
    """
    labelled = [name for name in found if eats is Chat and families[name].gives is Labelled]
    rest = [name for name in found if name not in labelled]
    more = [name for name in rest if families[name].gives is not Text]
    if labelled or more:  # a text beside its label is more than the text
        rest = more
    # Much can be meant as a pair of texts, so that is told only where nothing else is meant.
    pairs = [name for name in rest if families[name].gives is TextPair]
    if eats is Chat or labelled or len(pairs) < len(rest):
        rest = [name for name in rest if name not in pairs]
    return rest, labelled


def _matching(
    families: Mapping[str, Any],
    known: FileFacts,
    columns: Mapping[str, str],
    row: Row,
) -> list[str]:
    """Returns the readers that match: first with the columns that were not renamed, which may
    complete their fields; then without them.
    """
    rest = frozenset(known.columns) - frozenset(columns.values())
    matching: list[str] = []
    for seen in (rest | columns.keys(), frozenset(columns)):
        matched = [name for name, cls in families.items() if seen and cls.matches(seen, row)]
        if len(matched) == 1:
            return matched
        matching = matching or matched
    return matching


def _mapping_problems(
    known: FileFacts,
    columns: Mapping[str, str],
    families: Mapping[str, Any],
    *,
    eats: type,
    row: Row,
) -> list[Problem]:
    """Returns the problems of ``data.columns``: names of ours that no reader has, told with those
    that fit what is wanted, and columns that the file does not have.
    """
    ours = {name for cls in families.values() for name in cls.fields}
    fitting = [cls for cls in families.values() if cls.gives is eats] or [*families.values()]
    offered = list(dict.fromkeys(name for cls in fitting for name in cls.fields))
    problems = [
        Problem(
            f"data.columns.{name}",
            say(
                "reader.unknown_name",
                near=closest(name, offered) or say("spec.no_hint"),
                known=", ".join(offered),
            ),
        )
        for name in columns
        if name not in ours
    ]
    for name, theirs in columns.items():
        if theirs not in known.columns and not holds(row, theirs):
            near = closest(theirs, list(known.columns)) or say("spec.no_hint")
            text = say(
                "reader.no_column",
                file=known.path,
                column=theirs,
                near=near,
                columns=", ".join(known.columns),
            )
            problems.append(Problem(f"data.columns.{name}", text))
    return problems


def _undecided(
    known: FileFacts,
    sample: Sequence[Mapping[str, object]],
    eats: type,
    *,
    matching: list[str],
    named: bool,
    guess: Meaning | None,
    labelled: list[str],
) -> str:
    """Returns the error text: a value from each column, and the line to add that settles the
    reader.
    """
    held = _held(known.columns, sample)
    width = max(map(len, held), default=0)
    table = "\n".join(f"    {name:<{width}}  {shown(value)}" for name, value in held.items())
    prefix = _as_labels() if labelled else ""
    if matching:
        return prefix + say(
            "reader.several",
            readers=", ".join(matching),
            table=table,
            line=to_paste("data.reader", matching[0]),
        )
    keyed = None if named else _keyed(known, sample, guess)
    if keyed is not None:
        return prefix + keyed
    if guess is not None:
        text = say("reader.propose", table=table, line=to_paste("data.columns", guess.columns))
        template = template_for(known.columns, sample, guess.columns) if eats is Chat else None
        if template:
            line = to_paste("data.template", template)
            text += "\n" + say("reader.propose_template", line=line)
        return prefix + text
    if holds_pictures(known.columns):
        return say("reader.pictures", table=table)
    if "segments" in known.columns:
        return say("peers.nothing_segments")
    if "input_ids" in known.columns:
        return say("reader.token_ids", table=table)
    return _of_what_kind(known.columns, sample, eats, table=table, named=named, labelled=labelled)


def _as_labels() -> str:
    """Returns the line for the rows as texts with a label, before what is said of answers."""
    return say("labelled.or_classify", line=to_paste("objective", "classify"))


def _keyed(known: FileFacts, sample: Sequence[Row], guess: Meaning | None) -> str | None:
    """Returns the error text for a file of one object whose keys may be columns or questions; None
    for any other.
    """
    single = known.format == "jsonl" and len(sample) == 1 and may_be_answers(sample[0])
    if not single or holds_pictures(known.columns):
        return None
    (key, value), *_ = sample[0].items()
    return say(
        "reader.keyed",
        count=len(sample[0]),
        some=", ".join(list(sample[0])[:3]),
        row=json.dumps([{"question": key, "answer": value}], ensure_ascii=False),
        line=to_paste("data.columns", guess.columns if guess else {"question": "…", "answer": "…"}),
    )


def _held(columns: Sequence[str], sample: Sequence[Row]) -> JsonObject:
    """Returns a value from each column, and from each field of a column of objects."""
    rows = opened(sample)
    names = [
        inner
        for name in columns
        for inner in dict.fromkeys(key for row in rows for key in row)
        if inner == name or inner.startswith(f"{name}.")
    ]
    return {
        name: next((row[name] for row in rows if row.get(name) not in (None, "", [])), "")
        for name in dict.fromkeys(names)
    }


def _of_what_kind(
    columns: Sequence[str],
    sample: Sequence[Mapping[str, object]],
    eats: type,
    *,
    table: str,
    named: bool,
    labelled: list[str],
) -> str:
    """Returns the error text for columns that fit no reader of the kind that is wanted: what they
    hold instead, or which columns are to be named.
    """
    known_kinds = texts(language(), "kinds")
    needs = known_kinds[f"row_{eats.__name__.lower()}"]
    rated = rating(columns, sample) if eats in (Feedback, Preference) and not named else None
    if rated is not None:
        return say(
            "reader.rated",
            column=rated.columns["label"],
            needs=needs,
            table=table,
            line=to_paste("data.columns", rated.columns),
        )
    other = None if named else _another_objective(columns, sample, eats)
    if other is not None:
        kind, meaning = other
        text = say(
            "reader.other_kind",
            kind=known_kinds[f"is_{kind.__name__.lower()}"],
            objective=usual_objective(kind),
            table=table,
            line=to_paste("data.columns", meaning.columns),
        )
        if kind is not Feedback or eats is not Chat:
            return text
        rest = {name: column for name, column in meaning.columns.items() if name != "label"}
        return f"{text}\n{say('reader.every_answer', line=to_paste('data.columns', rest))}"
    line = to_paste("data.columns", dict.fromkeys(_LINES.get(eats, ("text",)), "…"))
    prefix = _as_labels() if labelled else ""
    return prefix + say("reader.none", needs=needs, table=table, line=line)


_LINES: dict[type, tuple[str, ...]] = {
    Chat: ("question", "answer"),
    Preference: ("prompt", "chosen", "rejected"),
    Feedback: ("prompt", "completion", "label"),
    Labelled: ("text", "label"),
    TextPair: ("text", "second"),
    Tagged: ("text", "entities"),
}
"""What a person names of each kind of row where nothing tells it."""


def _another_objective(
    columns: Sequence[str], sample: Sequence[Mapping[str, object]], eats: type
) -> tuple[type, Meaning] | None:
    """Returns the kind of row that the file clearly holds, where this is not the kind that is
    wanted.
    """
    for kind in (Preference, Feedback, Chat, Labelled, Text):
        meaning = recognise(kind, columns, sample) if kind is not eats else None
        if meaning is None or not (meaning.sure or "chosen" in meaning.columns):
            continue
        # One text among other things may be anything, unless it is called so; what a title says
        # of it is no other thing.
        named = ranked(DOCUMENT, meaning.columns.values())
        alone = kind is Text and named and not says_more(columns, sample, named[0])
        if kind is not Text or len(columns) == 1 or alone:
            return kind, meaning
    return None


def usual_objective(kind: type) -> str:
    """Returns the usual objective for a kind of row."""
    fitting = [name for name in OBJECTIVES.names() if OBJECTIVES.get(name).eats is kind]
    usual = [name for name in ("sft", "dpo", "classify", "pretrain") if name in fitting]
    return (usual or fitting)[0]
