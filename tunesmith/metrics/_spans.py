"""Entities that were found, missed and made up, by kind: what all metrics of entities are made of.

An entity is right where its place and its kind are (Tjong Kim Sang and De Meulder 2003, section
2.3), as seqeval counts it by default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.plain import JsonObject

if TYPE_CHECKING:
    from tunesmith.metrics import Metric

Spans = Sequence[Sequence[Any]]
"""Entities of one text, each [start, end, label]."""


def counts(predictions: Sequence[Spans], references: Sequence[Spans]) -> np.ndarray:
    """Counts for each kind in either of both: right, made up, missed; [n, 3 kinds]."""
    kinds = sorted({label for spans in (*predictions, *references) for _, _, label in spans})
    numbers = np.zeros((len(references), max(len(kinds), 1), 3))
    for row, (given, wanted) in enumerate(zip(predictions, references, strict=True)):
        said = {tuple(span) for span in given}
        there = {tuple(span) for span in wanted}
        parts = (said & there, said - there, there - said)
        for column, spans in enumerate(parts):
            for label, number in Counter(label for _, _, label in spans).items():
                numbers[row, kinds.index(label), column] = number
    return numbers.reshape(len(references), -1)


def count_kinds(
    self: Metric, predictions: Sequence[Spans], references: Sequence[Spans]
) -> np.ndarray:
    """Counts for each kind: the ``statistics`` of every metric of entities."""
    return counts(predictions, references)


def score_text(self: Metric, prediction: Spans, reference: Spans) -> float:
    """Scores one text, for every metric of entities: 1 where nothing is to be found and nothing
    was.
    """
    if not prediction and not reference:
        return 1.0
    return self.over([prediction], [reference])


def parts_of(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Separates the sums into right, made up and missed by kind, each [..., kinds]."""
    right, wrong, missed = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
    return right, wrong, missed


def f1(right: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """Computes F1: twice the right ones over all that were given or wanted; 0 where there
    are none.
    """
    return 2 * right / np.maximum(2 * right + wrong + missed, 1)


def table(predictions: Sequence[Spans], references: Sequence[Spans]) -> list[JsonObject]:
    """Computes precision, recall and F1 of each kind, and ``rows``: how many entities of it there
    are.
    """
    kinds = sorted({label for spans in (*predictions, *references) for _, _, label in spans})
    right, wrong, missed = parts_of(counts(predictions, references).sum(0))
    columns = {
        "precision": right / np.maximum(right + wrong, 1),
        "recall": right / np.maximum(right + missed, 1),
        "f1": f1(right, wrong, missed),
    }
    return [
        {"label": kind, **{name: float(values[n]) for name, values in columns.items()}}
        | {"rows": int(right[n] + missed[n])}
        for n, kind in enumerate(kinds)
    ]
