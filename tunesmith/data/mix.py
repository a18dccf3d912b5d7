"""How often a training row is seen in an epoch, and in which order the first epoch takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.data import split as splitting
from tunesmith.data.grouping import FILE, LENGTH
from tunesmith.data.rows import Row
from tunesmith.settings.run import Data
from tunesmith.settings.sources import Mix
from tunesmith.words import say

TOLD = 10
"""At most so many kinds are listed."""


def epoch_of(
    train: Sequence[Row], weights: Mapping[Path, float], data: Data, objective: Any, *, seed: int
) -> tuple[list[tuple[Row, int]], list[str]]:
    """Returns the training rows in their order, each with how often an epoch sees it, and notes:
    by the weights of the files, the objective and ``data.mix``.
    """
    if data.curriculum is not None:
        train = ordered(train, data.curriculum)
    wanted = [weights[row.file] * objective.repeats(row.tokens) for row in train]
    notes: list[str] = []
    if data.mix is not None:
        often, notes = mixed(train, data.mix)
        wanted = [weight * times for weight, times in zip(wanted, often, strict=True)]
    counts = [0] * len(train)
    for file in weights:
        of_file = [index for index, row in enumerate(train) if row.file == file]
        drawn = splitting.times(
            [wanted[index] for index in of_file], [train[index].key for index in of_file], seed=seed
        )
        for index, count in zip(of_file, drawn, strict=True):
            counts[index] = count
        if weights[file] != 1:
            fields = {"path": file.name, "weight": weights[file]}
            notes.append(say("ledger.weight", **fields, rows=len(of_file), seen=sum(drawn)))
    return list(zip(train, counts, strict=True)), notes


def shares(counts: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Returns the share of each kind, proportional to its count to the power 1/temperature: 1
    leaves them as they are, a large one makes them equal (Conneau et al. 2020, section 3.1).
    """
    largest = max(counts.values())
    powers = {kind: (count / largest) ** (1 / temperature) for kind, count in counts.items()}
    total = sum(powers.values())
    return {kind: power / total for kind, power in powers.items()}


def mixed(rows: Sequence[Row], mix: Mix) -> tuple[list[float], list[str]]:
    """Returns how often each row shall be seen in an epoch, which has as many rows as before but
    for the limit on repeats; and notes.
    """
    counts = Counter(row.marks.kind or "" for row in rows)
    wanted = shares(counts, mix.temperature)
    often = {
        kind: min(mix.most, wanted[kind] * len(rows) / count) for kind, count in counts.items()
    }
    notes = [
        say("ledger.mix", kind=_name(kind, mix), rows=count, times=f"{often[kind]:.2f}")
        for kind, count in counts.most_common(TOLD)
    ]
    if len(counts) > TOLD:
        notes.append(say("ledger.mix_more", number=len(counts) - TOLD))
    limited = [kind for kind in counts if wanted[kind] * len(rows) / counts[kind] > mix.most]
    if limited:
        kinds = ", ".join(_name(kind, mix) for kind in limited[:TOLD])
        notes.append(say("ledger.mix_limited", kinds=kinds, most=f"{mix.most:g}"))
    return [often[row.marks.kind or ""] for row in rows], notes


def _name(kind: str, mix: Mix) -> str:
    return kind.rpartition("/")[2] if mix.by == FILE else kind


def ordered(rows: Sequence[Row], by: str) -> list[Row]:
    """Puts rows in the order of their length (tokens) or their number in a column; equal ones by a
    hash, so that they are in no order of the file's.
    """
    if by == LENGTH:
        return sorted(rows, key=lambda row: (sum(map(len, row.tokens)), row.key))
    return sorted(rows, key=lambda row: (row.marks.place or 0.0, row.key))
