"""The next token of each row, from the model's logits and what the row was asked for.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import (
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TopPLogitsWarper,
)

from tunesmith.models.calling.drawing import drawn
from tunesmith.serving.rows import Likely, Row


def next_tokens(logits_BV: torch.Tensor, rows: Sequence[Row]) -> list[tuple[int, Likely | None]]:
    """Chooses the next token of each row: the likeliest at temperature 0, else one drawn with the
    row's own random numbers, with its likelihoods where these are asked.
    """
    scores_BV = logits_BV.float()
    # Before any score is shaped: what is told is the likelihood that the model gives.
    logprobs_of = {
        index: scores_BV[index].log_softmax(-1) for index, row in enumerate(rows) if _told(row)
    }
    for index, row in enumerate(rows):
        if _shaped(row):
            scores_BV[index] = _shape(scores_BV[index], row)
    chosen = scores_BV.argmax(-1)
    for index, row in enumerate(rows):
        if row.settings.temperature > 0:
            chosen[index] = _draw(scores_BV[index], row)
    ids = chosen.tolist()
    return [
        (
            token,
            _likely(logprobs_of[index], token, row.likely or 0) if index in logprobs_of else None,
        )
        for index, (token, row) in enumerate(zip(ids, rows, strict=True))
    ]


def _told(row: Row) -> bool:
    return row.likely is not None


def _shaped(row: Row) -> bool:
    settings = row.settings
    return (
        row.grammar is not None or settings.repetition_penalty != 1 or settings.no_repeat_ngram > 0
    )


def _shape(scores_V: torch.Tensor, row: Row) -> torch.Tensor:
    """Applies what ``generate`` applies, in its order, and bars what the grammar forbids."""
    settings, scores = row.settings, scores_V[None].clone()
    ids = torch.from_numpy(row.tokens()).long()[None].to(scores.device)
    if settings.repetition_penalty != 1:
        scores = RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)(ids, scores)  # type: ignore[arg-type]
    if settings.no_repeat_ngram > 0:
        scores = NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram)(ids, scores)  # type: ignore[arg-type]
    if row.grammar is not None:
        row.grammar.bar(scores[0])
    return scores[0]


def _draw(scores_V: torch.Tensor, row: Row) -> torch.Tensor:
    settings, scores = row.settings, scores_V[None] / row.settings.temperature
    if settings.top_p < 1:
        scores = TopPLogitsWarper(settings.top_p)(torch.empty(0), scores)  # type: ignore[arg-type]
    return drawn(scores.log_softmax(-1), [row.uniform()])[0, 0].to(scores_V.device)


def _likely(logprobs_V: torch.Tensor, token: int, count: int) -> Likely:
    top = logprobs_V.topk(count) if count else None
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True) if top is not None else ()
    return Likely(token, float(logprobs_V[token]), tuple(pairs))
