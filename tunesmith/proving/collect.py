"""What to collect next: collect.jsonl, a line for each kind of row that the proof found weak, with
how many to add and training rows to imitate.

Held-out rows are never shown there: rows made in their likeness would spoil the next proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tunesmith.plain import JsonObject, Named
from tunesmith.proving.clusters import terms
from tunesmith.proving.row_traits import line_of, values_of
from tunesmith.proving.slices import slice_of
from tunesmith.proving.task import evenly, training_rows_again

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared
    from tunesmith.settings.run import Run

LIKE = 5
"""Training rows to imitate."""
LEAST, MOST = 20, 1000
"""Rows to add: as many as the training has of the kind, within these bounds."""


def targets(mistakes: Named) -> list[JsonObject]:
    """Returns the kinds of rows to collect, by what ``mistakes`` found: the slices that are proven
    weaker than the others or worse than before, then the clusters of wrong answers.
    """
    kinds: list[JsonObject] = []
    for entry in mistakes["slices"]:
        why = "weaker" if entry["weaker"]["verdict"] == "weaker" else entry["gain"]["verdict"]
        if why in ("weaker", "worse"):
            cut = {name: entry[name] for name in ("by", "value", "low", "high")}
            kinds.append({"target": slice_of(entry).says, "why": why, **cut})
    for cluster in mistakes["clusters"]:
        line = {"target": ", ".join(cluster["words"]), "why": "wrong answers"}
        kinds.append(line | {"words": cluster["words"]})
    return kinds


def to_collect(kinds: Sequence[Named], run: Run, prepared: Prepared) -> list[JsonObject]:
    """Returns the lines of collect.jsonl: each of ``kinds`` with how many ``rows`` to add, how many
    the training has (``trained``), and those to imitate (``like``), as they stand in their file.
    """
    if not kinds:
        return []
    rows = [
        ({"id": item.id, "row": located.row}, line)
        for item, located, example in training_rows_again(run, prepared)
        if (line := line_of(item.id, example)) is not None
    ]
    return [_line(kind, rows) for kind in kinds]


def is_of(kind: Named, line: Named) -> bool:
    """Tells whether a row, of which a line tells (see ``traits.line_of``), is of a kind: it has the
    first of its words in the question, or lies in its slice.
    """
    if "words" in kind:
        return kind["words"][0] in terms(line["prompt"])
    return slice_of(kind).holds(values_of(line))


def _line(kind: Named, known: Iterable[tuple[JsonObject, JsonObject]]) -> JsonObject:
    of_kind = [(row, line) for row, line in known if is_of(kind, line)]
    if "words" in kind:
        of_kind.sort(key=lambda pair: -len({*terms(pair[1]["prompt"])} & {*kind["words"]}))
        like = [row for row, _ in of_kind[:LIKE]]
    else:
        like = [row for row, _ in evenly(of_kind, LIKE)]
    count = min(max(len(of_kind), LEAST), MOST)
    return {**kind, "rows": count, "trained": len(of_kind), "like": like}
