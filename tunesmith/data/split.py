"""Training, watch and proof rows: clusters of like rows are drawn whole, by a hash of the seed and
of what they hold.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.errors import DataError, Problem
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rows import Row

WATCHED = 200
"""At most this many rows are watched during training."""
SMALLEST = 40
"""With fewer held-out rows all of them go to the proof."""

CHOOSES = SMALLEST // 2
"""With fewer watched rows nothing is chosen by them."""
DECIDES = 20
"""With fewer rows a proof gives no verdict."""


@dataclass(frozen=True)
class Split:
    """Which of the rows given are held out, and which of those are watched; the others are for the
    proof.
    """

    watch: frozenset[int]
    proof: frozenset[int]


def target(held_out: float, rows: int) -> int:
    """Counts how many of ``rows`` are held out: ``held_out`` is a share below 1, a number from 1
    on; raises DataError when no training row would be left.
    """
    wanted = round(held_out * rows) if held_out < 1 else int(held_out)
    if 0 < held_out < 1 and rows > 1:
        wanted = max(1, wanted)
    if wanted and wanted >= rows:
        raise DataError(
            Problem("data.held_out", say("ledger.held_out_all", wanted=wanted, rows=rows))
        )
    return wanted


def few_notes(train: int, held: int, watched: int) -> list[str]:
    """Says what so few held-out rows cannot do, and what would hold enough of them out."""
    if not held or watched >= CHOOSES:
        return []
    if watched:
        return [say("ledger.few_watched", watched=watched, least=CHOOSES)]
    notes = [say("ledger.few_held_out", held=held)]
    if held < DECIDES <= train + held - DECIDES:
        left = train + held - DECIDES
        notes.append(say("ledger.few_for_proof", fewest=DECIDES, train=train, left=left))
    return notes


def draw(
    roots: Sequence[int],
    keys: Sequence[int],
    voted: Collection[int] = (),
    *,
    wanted: int,
    seed: int,
    strata: Sequence[str | None] | None = None,
) -> Split:
    """Draws clusters until ``wanted`` rows are held out; one that would go beyond that is passed
    over.

    ``roots[row]`` names the row's cluster, ``keys[row]`` is a hash of what it holds. A cluster's
    place in the draw depends on these hashes alone, so rows added to a file do not send the others
    to another side. With ``strata``, the class of each row, every class gives its share: the
    classes take turns, each as often as it has clusters. What is held out beside a row of ``voted``
    is watched, and never for the proof.
    """
    clusters, names = _clusters(roots, keys)
    held: list[int] = []
    count = 0
    for root in _order(clusters, names, strata, (seed, "held")):
        if count + len(clusters[root]) <= wanted:
            held.append(root)
            count += len(clusters[root])
        if count == wanted:
            break
    watch = _watched(held, clusters, seed=seed, names=names, voted=voted)
    every = {row for root in held for row in clusters[root]}
    return Split(frozenset(watch), frozenset(every - watch))


def _clusters(
    roots: Sequence[int], keys: Sequence[int]
) -> tuple[dict[int, list[int]], dict[int, int]]:
    """Returns the rows of each cluster, and a number for it that follows from what they hold."""
    clusters: dict[int, list[int]] = defaultdict(list)
    for row, root in enumerate(roots):
        clusters[root].append(row)
    return clusters, {root: min(keys[row] for row in rows) for root, rows in clusters.items()}


def _order(
    clusters: dict[int, list[int]],
    names: dict[int, int],
    strata: Sequence[str | None] | None,
    by: tuple[int, str],
) -> list[int]:
    """Returns the clusters in the order in which they are drawn, ``by`` a seed for a purpose."""
    drawn = sorted(clusters, key=lambda root: _place(*by, names[root]))
    if strata is None:
        return drawn
    classes: dict[str | None, list[int]] = defaultdict(list)
    for root in drawn:
        classes[strata[clusters[root][0]]].append(root)
    # The middle of a cluster's share of its class: a class of one is never among the first tenth.
    share = {
        root: (index + 0.5) / len(roots)
        for roots in classes.values()
        for index, root in enumerate(roots)
    }
    return sorted(drawn, key=share.__getitem__)


def nested(
    keys: Sequence[int], strata: Sequence[str | None], *, wanted: int | None, seed: int
) -> frozenset[int]:
    """Draws the keys of ``wanted`` training rows, all where it is None, every class in its share; a
    larger number holds those of a smaller one. ``keys`` and ``strata`` are as in ``draw``.
    """
    rows = {row: [row] for row in range(len(keys))}
    order = _order(rows, dict(enumerate(keys)), strata, (seed, "train"))
    return frozenset(keys[row] for row in order[:wanted])


def halves(
    roots: Sequence[int], keys: Sequence[int], voted: Collection[int] = (), *, seed: int
) -> Split:
    """Splits rows that are all held out, as those of a separate file, into watch and proof; what
    stands beside a row of ``voted`` is watched.
    """
    clusters, names = _clusters(roots, keys)
    watch = _watched(list(clusters), clusters, seed=seed, names=names, voted=voted)
    return Split(frozenset(watch), frozenset(set(range(len(roots))) - watch))


def _watched(
    held: list[int],
    clusters: dict[int, list[int]],
    *,
    seed: int,
    names: dict[int, int],
    voted: Collection[int],
) -> set[int]:
    total = sum(len(clusters[root]) for root in held)
    room = min(WATCHED, total // 2) if total >= SMALLEST else 0
    barred = {row for root in held for row in clusters[root] if row in voted}
    watch = {row for root in held if barred.intersection(clusters[root]) for row in clusters[root]}
    held = [root for root in held if watch.isdisjoint(clusters[root])]
    for root in sorted(held, key=lambda root: _place(seed, "watch", names[root])):
        if len(watch) + len(clusters[root]) <= room:
            watch.update(clusters[root])
    return watch


def _place(seed: int, purpose: str, name: int) -> bytes:
    return hashlib.blake2b(f"{seed} {purpose} {name}".encode(), digest_size=8).digest()


def times(weights: Sequence[float], keys: Sequence[int], *, seed: int) -> list[int]:
    """Returns how often each training row is seen: the whole part of its weight, and once more for
    as many rows, drawn by their hashes, as the remaining fractions add up to (rounded).
    """
    counts = [int(weight) for weight in weights]
    total = 0.5
    for row in sorted(range(len(keys)), key=lambda row: _place(seed, "weight", keys[row])):
        before, total = total, total + weights[row] % 1
        counts[row] += math.floor(total) - math.floor(before)
    return counts


def draw_rows(labels: Sequence[str], wanted: int | None) -> list[int]:
    """Draws the indices of ``wanted`` rows, ascending, each label in its share; all of them where
    there are not so many.

    The draw is the same in every run, so that runs with other seeds see the same rows.
    """
    if wanted is None or wanted >= len(labels):
        return list(range(len(labels)))
    shuffled = np.random.Generator(np.random.PCG64(0)).permutation(len(labels)).tolist()
    # Every n-th of the shuffled rows, once those of a label stand together, is a stratified draw.
    by_label = sorted(shuffled, key=lambda index: str(labels[index]))
    return sorted(by_label[rank * len(labels) // wanted] for rank in range(wanted))


def keys_and_voted(rows: Sequence[Row]) -> tuple[list[int], set[int]]:
    """Returns the rows' keys, and the places of those whose answers people chose between."""
    return [row.key for row in rows], {index for index, row in enumerate(rows) if row.voted}
