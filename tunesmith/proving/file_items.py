"""The rows of any file as the items of a proof, without those that the training has seen: copies,
near copies, and the same questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tunesmith.data.clustering import clusters
from tunesmith.data.grouping import Marker, Marks
from tunesmith.data.items import Item
from tunesmith.data.ledger import counted
from tunesmith.data.prepare import Prepared
from tunesmith.data.reading import examples
from tunesmith.data.rows import Encoder, Row, chosen_rows, items_of
from tunesmith.data.texts.duplicates import sketch
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Example
from tunesmith.plain import JsonObject
from tunesmith.proving.judge import WINDOW
from tunesmith.settings.run import Run
from tunesmith.words import say


def file_items(path: str, run: Run, prepared: Prepared) -> tuple[list[Item], JsonObject]:
    """Reads the items of a file, and says what became of its other rows, for proof.json. The rows
    that were watched count as seen: they chose which weights were kept.

    Raises DataError where no row is left.
    """
    objective = prepared.objective
    data = run.data.model_copy(update={"path": path, "limit": None})
    reading = examples(data, objective.eats, objective.meant)
    has_group = all(run.data.split_by in opened.facts.columns for opened in reading.opened)
    marker = Marker(run.data.split_by if has_group else None)
    encoder = Encoder(objective, prepared.render, marker)
    read = encoder.rows(reading)
    # Whoever chose a model by these would prove it by his own votes.
    not_voted = [row for row in read if not row.voted]
    rows = _different(not_voted)
    seen = _seen_rows(run, prepared, encoder)
    # A cluster is named by its first row.
    roots = clusters([*seen, *rows]).roots
    leaked = {
        id(row): seen[root]
        for row, root in zip(rows, roots[len(seen) :], strict=True)
        if root < len(seen)
    }
    limit = run.data.max_length
    fresh = [row for row in rows if id(row) not in leaked]
    kept = [row for row in fresh if not (limit and row.length > limit)]
    left = Counter(dropped.reason for dropped in reading.dropped) + _left_out(not_voted, rows)
    left += Counter({"too long": len(fresh) - len(kept)})
    facts = {
        "file": str(path),
        "file_rows": len(read) + len(reading.dropped),
        "file_left_out": dict(left),
        "file_leaked": [
            {
                "id": f"{row.file.name}:{row.number}",
                "beside": f"{leaked[id(row)].file}:{leaked[id(row)].number}",
            }
            for row in rows
            if id(row) in leaked
        ],
    }
    voted = sum(row.voted for row in read)
    if voted:
        facts["file_voted"] = voted
    if not kept:
        fields = {"rows": facts["file_rows"], "seen": len(leaked), "reasons": counted(left)}
        raise DataError(Problem(str(path), say("prove.file_all_leaked", **fields)))
    example_of = dict(encoder.examples(reading, {(row.file, row.number): row.key for row in kept}))
    items = [
        item
        for row in kept
        for item in items_of(row, row.file.name, example=example_of[row.file, row.number])
    ]
    return items, facts


def _left_out(every: list[Row], different: list[Row]) -> Counter[str]:
    """Counts the rows that ``_different`` left out, by reason."""
    empty = sum(not row.length for row in every)
    return Counter({"nothing to train": empty, "duplicate": len(every) - empty - len(different)})


def _different(rows: list[Row]) -> list[Row]:
    """Leaves out copies, and rows in which nothing is scored."""
    by_key = {row.key: row for row in reversed(rows) if row.length}
    return list(reversed(by_key.values()))


def _seen_rows(run: Run, prepared: Prepared, encoder: Encoder) -> list[Row]:
    """Reads the training rows and the watched ones again, with all that tells a copy."""
    rows = []
    for where, item, example in seen_examples(run, prepared):
        name, _, number = where.rpartition(":")
        key, written, asked = encoder.hashes(example)
        hashes = (key, written, asked, Marks(item.group))
        rows.append(Row(Path(name), int(number), (), *hashes, sketch(example), False))
    return rows


def seen_examples(run: Run, prepared: Prepared) -> Iterator[tuple[str, Item, Example]]:
    """Yields the rows that were trained or watched, each as its place, item and example."""
    objective = prepared.objective
    seen = {
        WINDOW.sub("", item.id.partition("#")[0]): item
        for item in [*prepared.train, *prepared.watch]
    }
    everything = {*seen, *(item.id for item in prepared.proof)}
    readings = [examples(run.data, objective.eats, objective.meant)]
    if isinstance(run.data.held_out, str):
        held = run.data.model_copy(update={"path": run.data.held_out, "limit": None})
        readings.append(examples(held, objective.eats, objective.meant))
    for reading in readings:
        for where, _, example in chosen_rows(reading, {*seen}, everything):
            yield where, seen[where], example
