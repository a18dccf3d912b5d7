"""Rows of different lengths as one rectangle."""

from __future__ import annotations

import numpy as np

from tunesmith.batches.batch import right_padded
from tunesmith.models.calling.padding import left_padded


def test_padding_on_the_left_stands_behind_the_shared_beginning() -> None:
    rows = [np.array([5, 6, 7]), np.array([5, 6, 8, 9, 10]), np.array([5, 6])]
    ids, mask = left_padded(rows, 2, pad_id=0)
    assert ids.tolist() == [[5, 6, 0, 0, 7], [5, 6, 8, 9, 10], [5, 6, 0, 0, 0]]
    assert mask.tolist() == [[1, 1, 0, 0, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    ids, mask = left_padded(rows, 0, pad_id=0)
    assert ids[:, -1].tolist() == [7, 10, 6] and mask.sum(1).tolist() == [3, 5, 2]


def test_padding_on_the_right_is_told_by_position_not_by_its_id() -> None:
    ids, mask = right_padded([np.array([4, 0]), np.array([4, 5, 0])], pad_id=0)
    assert ids.tolist() == [[4, 0, 0], [4, 5, 0]]
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]], "a token with the id of padding is a token"
