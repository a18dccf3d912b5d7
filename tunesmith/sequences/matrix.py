"""What a matrix of scores, stage by task, says of learning and forgetting: Lopez-Paz & Ranzato
2017, eq. 2 to 4, and Chaudhry et al. 2018, eq. 3.

R[i][j] is the score of task j after stage i; row 0 is the model before the first stage. ``signs``
say of each task whether more is better (1) or less (-1).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tunesmith.plain import JsonObject, Named
from tunesmith.proving.statistics import LEVEL, holm

Scores = Sequence[Sequence[float]]


def average(scores: Scores) -> float:
    """Computes the mean over the tasks after the last stage: ACC."""
    return fmean(scores[-1])


def backward(scores: Scores, signs: Sequence[int]) -> list[float]:
    """Computes for each task but the last what it gained by the stages after its own; the mean is
    BWT, below zero where tasks were forgotten.
    """
    return [
        signs[task] * (scores[-1][task] - scores[task + 1][task])
        for task in range(len(scores[0]) - 1)
    ]


def forward(scores: Scores, signs: Sequence[int]) -> list[float]:
    """Computes for each task but the first what the stages before its own gave it; the mean is
    FWT.
    """
    return [
        signs[task] * (scores[task][task] - scores[0][task]) for task in range(1, len(scores[0]))
    ]


def forgotten(scores: Scores, signs: Sequence[int]) -> list[float]:
    """Computes for each task but the last how far it is below the best that it was after any stage
    before the last; the mean is the forgetting.
    """
    losses = []
    for task in range(len(scores[0]) - 1):
        best = max(signs[task] * row[task] for row in scores[1:-1])
        losses.append(best - signs[task] * scores[-1][task])
    return losses


def corrected(changes: Sequence[Named]) -> list[JsonObject]:
    """Returns the changes of the tasks without the word of one that could be chance among so many
    (Holm).
    """
    raised = holm({task: change["p_zero"] for task, change in enumerate(changes)})
    return [
        {**change, "p_holm": p, "verdict": change["verdict"] if p < 1 - LEVEL else "not shown"}
        for change, p in zip(changes, (raised[task] for task in range(len(changes))), strict=True)
    ]
