"""The forest of a batch: what is shared, what is scored, and that padding changes nothing but the
layout.
"""

from __future__ import annotations

import numpy as np
import torch

from tunesmith.batches.batch import Batch, Ratio, Tokens
from tunesmith.batches.forest import plant


def tokens(ids: list[int], scored: int = 1, **columns: object) -> Tokens:
    weights = np.zeros(len(ids), np.float32)
    weights[-scored:] = 1
    return Tokens(np.array(ids, np.int32), weights, dict(columns))


def paths(sequences: list[list[int]], shortest: int | None = 2) -> tuple[int, list[list[int]]]:
    arrays = [np.array(ids, np.int32) for ids in sequences]
    segments, flats = plant(arrays, shortest)
    row = np.zeros(segments[-1].stop, np.int32)
    for ids, flat in zip(arrays, flats, strict=True):
        row[flat] = ids
    assert all(segment.parent < index for index, segment in enumerate(segments))
    return len(row), [row[flat].tolist() for flat in flats]


def test_what_sequences_begin_with_stands_once() -> None:
    sequences = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 9], [7], [1, 2, 3, 4], [1, 2]]
    length, read_back = paths(sequences)
    assert read_back == sequences
    assert length == 4 + 1 + 1 + 1


def test_sharing_can_be_switched_off_and_short_beginnings_are_not_worth_it() -> None:
    sequences = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 8, 8, 8]]
    assert paths(sequences, None)[0] == 12
    assert paths(sequences, 3)[0] == 4 + 1 + 4
    assert paths(sequences, 4)[0] == 12


def test_random_forests_read_back() -> None:
    draw = np.random.default_rng(0)
    for _ in range(200):
        sequences = [
            draw.integers(0, 3, draw.integers(1, 12)).tolist() for _ in range(draw.integers(1, 20))
        ]
        for shortest in (1, 3, None):
            assert paths(sequences, shortest)[1] == sequences


def test_scored_tokens_point_at_what_predicts_them() -> None:
    prompt = list(range(10, 20))
    batch = Batch.grow(
        [[tokens([*prompt, 1, 2], 2), tokens([*prompt, 3], 1)], [tokens([50, 51, 52], 3)]]
    )
    assert batch.layout.length == 10 + 2 + 1 + 3
    assert batch.targets_N.tolist() == [1, 2, 3, 51, 52]
    assert batch.ids_T[batch.scored_N].tolist() == [19, 1, 19, 50, 51]
    assert batch.owner_N.tolist() == [0, 0, 1, 2, 2]
    assert batch.example_B.tolist() == [0, 0, 1]
    assert batch.ids_T[batch.ends_B].tolist() == [2, 3, 52]
    assert batch.positions_T[batch.ends_B].tolist() == [11, 10, 2]
    assert batch.units == 5.0


def test_padding_keeps_every_scored_token_in_order() -> None:
    batch = Batch.grow([[tokens([1, 2, 3], 2)], [tokens([4, 5, 6, 7, 8], 1)]], unit="example")
    padded = batch.padded(pad_id=9)
    assert padded.input_ids.tolist() == [[1, 2, 3, 9, 9], [4, 5, 6, 7, 8]]
    assert padded.mask_T.view(2, 5).sum(1).tolist() == [3, 5]
    assert torch.equal(padded.targets_N, batch.targets_N)
    assert torch.equal(padded.ids_T[padded.scored_N], batch.ids_T[batch.scored_N])
    assert padded.units == batch.units == 2.0


def test_columns_follow_the_scored_tokens_or_the_sequences() -> None:
    first = Tokens(
        np.arange(3, dtype=np.int32),
        np.array([0, 0, 1], np.float32),
        {"advantages_T": np.array([5.0, 6.0, 7.0]), "label": 1},
    )
    second = Tokens(
        np.arange(3, dtype=np.int32),
        np.array([0, 1, 1], np.float32),
        {"advantages_T": np.array([1.0, 2.0, 3.0]), "label": 0},
    )
    batch = Batch.grow([[first], [second]])
    assert batch.columns["advantages_N"].tolist() == [7.0, 2.0, 3.0]
    assert batch.columns["label_B"].tolist() == [1, 0]


def test_ratios_add() -> None:
    assert (Ratio(1.0, 2.0) + Ratio(3.0, 2.0)).value == 1.0
    assert np.isnan(Ratio(0.0, 0.0).value)
