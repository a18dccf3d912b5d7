"""Which rows belong together, so that the split leaves them on one side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tunesmith.data.rows import Row
from tunesmith.data.texts import duplicates
from tunesmith.words import say

SHARED, SHARED_ROWS = (
    0.05,
    20,
)  # a question in more rows than this is an instruction, and says nothing about the row


@dataclass(frozen=True)
class Clustered:
    """Rows that stay on one side of the split; a cluster is named by its first row."""

    roots: list[int]
    """The cluster of each row."""
    near: list[tuple[Row, Row]]
    """Rows that are nearly the same as an earlier one, or ask the same, and the first such one."""
    notes: list[str]


def clusters(rows: list[Row]) -> Clustered:
    """Joins rows with nearly the same text, the same question, or the same value of
    ``data.split_by``.
    """
    joined = duplicates.Clusters(len(rows))
    duplicates.join_near(joined, [row.sketch for row in rows])
    asked = Counter([row.asked for row in rows if row.asked is not None])
    limit = max(SHARED_ROWS, SHARED * len(rows))
    joined.join_equal(
        [None if row.asked is None or asked[row.asked] > limit else row.asked for row in rows]
    )
    joined.join_equal([row.key for row in rows])
    roots = joined.roots()
    near = [(rows[index], rows[root]) for index, root in enumerate(roots) if index != root]
    joined.join_equal([row.marks.group for row in rows])
    joined.join_equal([row.marks.family for row in rows])
    notes = [
        say("ledger.same_question", number=number) for number in asked.values() if number > limit
    ]
    return Clustered(joined.roots(), near, notes[:3])


def beside(held: list[Row], rows: list[Row]) -> dict[int, Row]:
    """Returns the keys of ``rows`` that share a cluster with a held-out row, and that row."""
    roots = clusters([*held, *rows]).roots[len(held) :]
    return {row.key: held[root] for row, root in zip(rows, roots, strict=True) if root < len(held)}
