"""No process computes more of a step than the plan counts for it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tunesmith.batches.batch import Tokens
from tunesmith.batches.micro_batches import computed, cut
from tunesmith.planning.processes import most_rows
from tunesmith.settings.run import validate


def _tokens(ids: list[int]) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.ones(len(ids), np.float32))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_no_micro_batch_costs_more_than_the_rows_that_one_process_has(
    world: int, padded: bool
) -> None:
    draw = random.Random(world)
    for _ in range(40):
        batch, longest = draw.randint(1, 24), draw.randint(1, 60)
        asked = {"model": "starter", "data": "rows.json", "out": "run", "train": {"batch": batch}}
        rows = most_rows(validate(asked), world)
        examples = [
            [_tokens([draw.randrange(50) for _ in range(draw.randint(1, longest))])]
            for _ in range(batch)
        ]
        for group in cut(examples, 10**6, padded=padded, parts=world):
            held = [examples[index] for index in group]
            assert computed(held, 10**6, padded=padded) <= longest * rows


def test_with_tensor_each_process_has_a_part_of_every_row() -> None:
    train = {"batch": 16, "machine": {"shard": "tensor"}}
    asked = {"model": "starter", "data": "rows.json", "out": "run", "train": train}
    assert most_rows(validate(asked), 2) == 16
