"""Which reader a file needs: decided by its columns, and where they do not decide, asked for with
the line that settles it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.data.columns.turns import PICTURES, shown
from tunesmith.data.files.sources import FileFacts, Located
from tunesmith.data.propose_columns import another_task, propose, propose_pair, template_for
from tunesmith.data.readers import READERS, Reader
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Labelled, TextPair
from tunesmith.settings.overrides import to_paste
from tunesmith.settings.spec import closest
from tunesmith.words import say


def choose(
    known: FileFacts,
    first: Sequence[Located],
    *,
    columns: Mapping[str, str] | None = None,
    reader: str | None = None,
    eats: type = Chat,
) -> Reader:
    """The reader for a file whose first rows these are; DataError, with the one line that settles
    it, when none or two match.

    Readers that give what ``eats`` asks for come first; another is given only where no column could
    be meant otherwise, for the error that names its objective.
    """
    columns = columns or {}
    families = {name: READERS.get(name) for name in ([reader] if reader else READERS.names())}
    problems = _mapping_problems(known, columns, families)
    if problems:
        raise DataError(problems)
    if reader:
        return families[reader]()
    row = dict(first[0].row) if first else {}
    row |= {ours: row.get(theirs) for ours, theirs in columns.items()}
    able = {name: cls for name, cls in families.items() if cls.fields.keys() >= columns.keys()}
    wanted = {name: cls for name, cls in able.items() if cls.gives is eats}
    matching = _matching(wanted, known, columns, row)
    labelled: list[str] = []
    if not matching:
        others = _matching(
            {name: cls for name, cls in able.items() if name not in wanted}, known, columns, row
        )
        # A label may be meant as an answer, so such rows are asked about.
        labelled = [
            name
            for name in others
            if eats is Chat and families[name].gives is Labelled and not reader
        ]
        matching = [name for name in others if name not in labelled]
        # Much can be meant as a pair of texts, so that is told only where nothing else is meant.
        pairs = [name for name in matching if families[name].gives is TextPair]
        if labelled or len(pairs) < len(matching):
            matching = [name for name in matching if name not in pairs]
    if len(matching) == 1:
        return families[matching[0]]()
    told = _undecided(known, [located.row for located in first], matching, columns)
    raise DataError(
        Problem(str(known.path), (say("labelled.or_classify") if labelled else "") + told)
    )


def _matching(
    families: Mapping[str, Any],
    known: FileFacts,
    columns: Mapping[str, str],
    row: Mapping[str, Any],
) -> list[str]:
    """The readers that match: first with the columns that were not renamed, which may complete
    their fields; then without.
    """
    rest = frozenset(known.columns) - frozenset(columns.values())
    matching: list[str] = []
    for seen in (rest | columns.keys(), frozenset(columns)):
        found = [name for name, cls in families.items() if seen and cls.matches(seen, row)]
        if len(found) == 1:
            return found
        matching = matching or found
    return matching


def _mapping_problems(
    known: FileFacts, columns: Mapping[str, str], families: Mapping[str, Any]
) -> list[Problem]:
    """What is wrong with ``data.columns``: our names that no reader has, and columns that the file
    has not.
    """
    ours = list(dict.fromkeys(name for cls in families.values() for name in cls.fields))
    found = [
        Problem(
            f"data.columns.{name}",
            say("reader.unknown_name", near=closest(name, ours), known=", ".join(ours)),
        )
        for name in columns
        if name not in ours
    ]
    for name, theirs in columns.items():
        if theirs not in known.columns:
            near = closest(theirs, list(known.columns))
            told = say(
                "reader.no_column",
                file=known.path,
                column=theirs,
                near=near,
                columns=", ".join(known.columns),
            )
            found.append(Problem(f"data.columns.{name}", told))
    return found


def _undecided(
    known: FileFacts,
    sample: Sequence[Mapping[str, Any]],
    matching: list[str],
    columns: Mapping[str, str],
) -> str:
    """The columns with a value each, and the line that settles which reader it is."""
    width = max((len(name) for name in known.columns), default=0)
    held = {
        name: next((row[name] for row in sample if row.get(name) not in (None, "", [])), "")
        for name in known.columns
    }
    table = "\n".join(f"    {name:<{width}}  {shown(value)}" for name, value in held.items())
    if matching:
        return say(
            "reader.several",
            readers=", ".join(matching),
            table=table,
            line=to_paste("data.reader", matching[0]),
        )
    pair = propose_pair(known.columns, sample)
    if pair in (None, dict(columns)) and another_task(known.columns, sample[0] if sample else {}):
        return say(
            "reader.pictures" if PICTURES & set(known.columns) else "reader.another_task",
            table=table,
        )
    guess = pair or propose(known.columns, sample)
    if guess is None or guess == dict(columns):
        return say("reader.none", table=table, readers=", ".join(READERS.names()))
    told = say("reader.propose", table=table, line=to_paste("data.columns", guess))
    template = template_for(known.columns, guess, sample)
    if template:
        told += "\n" + say("reader.propose_template", line=to_paste("data.template", template))
    return told
