"""Answers of base and tuned side by side, chosen by a stated rule so that nobody can pick the
pretty ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.plain import JsonObject, Named
from tunesmith.proving.judge import TUNED, metric
from tunesmith.storage.run_folder import read_lines

SAMPLES = 10
EXTREMES = 3
"""So many of the largest gains and so many of the worst regressions; the rest evenly over all other
rows.
"""


@dataclass(frozen=True)
class Side:
    """One contender's answer: what it wrote, its score, and the option that it found likeliest
    where that is what is scored.
    """

    text: str
    score: float | None
    choice: str | None


@dataclass(frozen=True)
class Sample:
    """One held-out row and both answers to it; ``kind`` is gain, regression or even."""

    kind: str
    id: str
    prompt: str
    reference: str
    base: Side
    tuned: Side


def read_items(path: Path) -> list[JsonObject]:
    """Reads the lines of items.jsonl; empty where there is none."""
    return read_lines(path) if path.is_file() else []


def choose(
    items: Sequence[Named], name: str, rival: str, right: Callable[[Any], str]
) -> list[Sample]:
    """Chooses up to SAMPLES rows, tuned beside ``rival``: the largest gains and worst regressions
    by metric ``name``, the rest evenly. ``right`` gives the right answer for an item.

    Equal ones keep the order of the items. Empty where nothing was written, as for plain text.
    """
    sign = 1.0 if metric(name).higher else -1.0
    both = [item for item in items if {rival, TUNED} <= set(item["predictions"])]
    change = [
        sign * ((_score(item, TUNED, name) or 0.0) - (_score(item, rival, name) or 0.0))
        for item in both
    ]
    gains = sorted((i for i, by in enumerate(change) if by > 0), key=lambda i: -change[i])[
        :EXTREMES
    ]
    regressions = sorted((i for i, by in enumerate(change) if by < 0), key=lambda i: change[i])[
        :EXTREMES
    ]
    others = [i for i in range(len(both)) if i not in {*gains, *regressions}]
    even = _evenly(others, SAMPLES - len(gains) - len(regressions))
    chosen = (
        [("gain", i) for i in gains]
        + [("regression", i) for i in regressions]
        + [("even", i) for i in even]
    )
    return [_sample(kind, both[i], name, rival, right(both[i])) for kind, i in chosen]


def _evenly(values: Sequence[int], count: int) -> list[int]:
    if len(values) <= count:
        return list(values)
    return [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]


def _score(item: Named, contender: str, name: str) -> float | None:
    return item["scores"].get(contender, {}).get(name)


def _sample(kind: str, item: Named, name: str, rival: str, right: str) -> Sample:
    options = item["choices"] if metric(name).reads == "choice" else {}
    sides = [
        Side(str(item["predictions"][who]), _score(item, who, name), options.get(who))
        for who in (rival, TUNED)
    ]
    return Sample(kind, str(item["id"]), str(item["prompt"]), right, *sides)
