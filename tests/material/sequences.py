"""Sequences that share beginnings, and what each gives alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tunesmith.batches.batch import Tokens


def sequences(seed: int = 0, vocabulary: int = 320) -> list[list[Tokens]]:
    """Chosen and rejected under one prompt, a third that shares half of it, and one alone; longer
    than a window of 8.
    """
    draw = np.random.default_rng(seed)

    def tokens(*pieces: np.ndarray) -> Tokens:
        ids = np.concatenate(pieces).astype(np.int32)
        return Tokens(ids, np.ones(len(ids), np.float32))

    prompt = draw.integers(0, vocabulary, 24)
    return [
        [
            tokens(prompt, draw.integers(0, vocabulary, 9)),
            tokens(prompt, draw.integers(0, vocabulary, 21)),
        ],
        [tokens(prompt[:12], draw.integers(0, vocabulary, 15))],
        [tokens(draw.integers(0, vocabulary, 10))],
    ]


def alone(model: Any, examples: list[list[Tokens]]) -> torch.Tensor:
    """Log-probabilities of each sequence run by itself through the plain model."""
    found = []
    for tokens in (tokens for example in examples for tokens in example):
        ids = torch.from_numpy(tokens.ids_T.astype(np.int64))[None]
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        found.append(logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0])
    return torch.cat(found)
