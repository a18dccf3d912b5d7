"""The training rows on which GPTQ looks at what the weights are used for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tunesmith.errors import Problem
from tunesmith.events.stream import Events
from tunesmith.export.folders.source import Source
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.batches.batch import Tokens
    from tunesmith.data.prepare import Prepared
    from tunesmith.data.rendering.tokenizers import Tokenizer

TOKENS_AN_INPUT = 10
"""Tokens that are needed for each input of the widest layer: its Hessian has as many rows."""


def calibration_rows(source: Source, tokenizer: Tokenizer, most: int) -> list[np.ndarray]:
    """Returns the run's training rows as ids, rendered as they were learned and spread evenly, up
    to ``most`` tokens; raises DataError where the data is no longer there.
    """
    from tunesmith.proving.contest import prepared_again

    prepared = prepared_again(source.folder, source.run, tokenizer, Events())
    return [row.ids_T for row in spread(prepared, most)]


def spread(prepared: Prepared, most: int) -> list[Tokens]:
    """Returns training rows spread evenly over all, up to ``most`` tokens."""
    rows = [tokens for item in prepared.train for tokens in item.tokens]
    step = max(1, int(sum(map(len, rows)) / max(most, 1)))
    chosen: list[Tokens] = []
    total = 0
    for row in rows[::step]:
        if total >= most:
            break
        chosen.append(row)
        total += len(row)
    return chosen


def too_few(rows: list[np.ndarray], widest: int) -> list[Problem]:
    """Returns a problem where the rows have too few tokens for the widest layer."""
    total, needed = sum(map(len, rows)), TOKENS_AN_INPUT * widest
    if total >= needed:
        return []
    return [Problem("format.method", say("export.calibration", tokens=total, needed=needed))]
