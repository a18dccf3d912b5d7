from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from tunesmith.batches.batch import Tokens
from tunesmith.batches.forest import plant
from tunesmith.batches.micro_batches import computed, cut, micro_batches
from tunesmith.batches.order import Order, batch_size, every


def tokens(ids: list[int]) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.ones(len(ids), np.float32))


def lengths(*sizes: int) -> list[list[Tokens]]:
    """Examples that share nothing."""
    return [
        [tokens([1000 * index + place for place in range(size)])]
        for index, size in enumerate(sizes)
    ]


def test_every_epoch_takes_every_row_once_in_an_order_of_its_own():
    order = Order(rows=10, batch=4, seed=7)
    assert order.steps_per_epoch == 3
    epochs = [
        [row for step in range(3 * epoch, 3 * epoch + 3) for row in order.taken(step)]
        for epoch in range(3)
    ]
    assert all(sorted(rows) == list(range(10)) for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert len(order.taken(2)) == 2, "the last step of an epoch takes what is left"
    assert Order(10, 4, 8).taken(0) != order.taken(0)


def test_the_order_neither_reads_nor_moves_a_global_generator():
    random.seed(1)
    np.random.seed(1)
    order, first = Order(50, 8, 3), Order(50, 8, 3).taken(9)
    state = np.random.get_state()[1].tolist()
    np.random.seed(2)
    assert order.taken(9) == first
    np.random.seed(1)
    order.taken(100)
    assert np.random.get_state()[1].tolist() == state


def test_the_number_of_steps():
    order = Order(rows=100, batch=8, seed=0)
    assert order.total(3) == 39
    assert order.total(0.5) == 7
    assert order.total(0.001) == 1
    assert order.total(3, steps=5) == 5
    assert order.epoch(13) == 1.0
    assert order.epoch(1) == pytest.approx(0.08)


def test_defaults_that_follow_from_the_number_of_rows():
    assert batch_size(100_000, 3) == 16
    assert batch_size(100, 3) == 6
    assert batch_size(5, 1) == 1
    assert every(0.1, 95, 30) == 10
    assert every(25, 95, 30) == 25
    assert every("epoch", 95, 30) == 30
    assert every(0, 95, 30) == 0
    assert every(0.1, 3, 1) == 1


def test_micro_batches_stay_in_the_budget_and_hold_every_row_once():
    examples = lengths(5, 60, 7, 30, 8, 200, 31)
    for padded in (False, True):
        found = cut(examples, 70, padded=padded)
        assert sorted(index for part in found for index in part) == list(range(7))
        for part in found:
            longest = max(len(examples[index][0]) for index in part)
            cost = longest * len(part) if padded else sum(len(examples[index][0]) for index in part)
            assert cost <= 70 or part == [5], "one row alone costs more"
        # Fewer would be over the budget: a row of 200 alone, and 141 tokens over parts of 70.
        assert len(found) == 4


def test_padded_rows_of_like_length_come_together():
    found = cut(lengths(5, 60, 6, 61, 7, 62), 200, padded=True)
    assert sorted(map(sorted, found)) == [[0, 2, 4], [1, 3, 5]]


def test_a_forest_is_charged_the_tokens_that_it_computes():
    rng = np.random.default_rng(0)
    first, second = list(range(100, 150)), list(range(200, 250))
    examples = [
        [tokens([*(first if i % 2 else second), *rng.integers(0, 9, 10).tolist()])]
        for i in range(20)
    ]
    whole = cut(examples, 10**6)
    segments, _ = plant([examples[index][0].ids_T for index in whole[0]], 1)
    ends = segments[-1].stop
    assert len(whole) == 1 and ends < 20 * 60 / 3
    assert len(cut(examples, ends)) == 1
    assert len(cut(examples, ends - 1)) == 2
    halves = cut(examples, 160)
    assert all(len({int(examples[index][0].ids_T[0]) for index in part}) == 1 for part in halves), (
        "prefixes stay together"
    )


def test_the_tokens_of_a_plan_are_those_that_micro_batches_hold():
    draw = random.Random(4)
    opening = list(range(100, 140))
    examples = [
        [tokens([*opening, 200 + row, *(draw.randrange(9) for _ in range(draw.randrange(30)))])]
        for row in range(23)
    ]
    flat = micro_batches(examples, 300, lay=lambda batch: batch, padded=False)
    assert computed(examples, 300) == sum(batch.ids_T.numel() for batch in flat)
    padded = micro_batches(examples, 300, lay=lambda batch: batch.padded(), padded=True)
    assert computed(examples, 300, padded=True) == sum(batch.ids_T.numel() for batch in padded)
    assert computed(examples, 300) < sum(len(one) for (one,) in examples) / 1.5


def test_there_is_a_micro_batch_for_every_rank_where_rows_suffice():
    assert len(cut(lengths(10, 10, 10, 10), 10**6, parts=2)) == 2
    assert len(cut(lengths(10), 10**6, parts=2)) == 1


def test_padding_beyond_the_cost_of_a_pass_makes_another_pass():
    rows = lengths(10, 50, 11, 52, 12, 49)
    assert len(cut(rows, 10**6, padded=True)) == 1
    assert cut(rows, 10**6, padded=True, waste=5) == [[0, 2, 4], [5, 1, 3]]
    assert cut(rows, 10**6, padded=True, waste=2) == [[0, 2], [4], [5, 1], [3]]
    assert len(cut(rows, 10**6, waste=0)) == 1, "a forest has no padding"


def dearest(examples: list[Any], groups: Iterable[Iterable[int]], padded: bool) -> int:
    """Counts the tokens of the micro-batch that costs most."""
    return max(computed([examples[n] for n in group], 10**6, padded=padded) for group in groups)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("parts", [2, 3, 4])
def test_every_process_gets_as_many_micro_batches_and_none_is_dearer_than_need_be(
    padded: bool, parts: int
) -> None:
    """Against every way to cut the ordered rows into so many pieces."""
    drawn = np.random.default_rng(parts)
    for rows in range(parts, 9):
        beginning = drawn.integers(5, 9, 4)
        examples = [
            (tokens([*beginning, *drawn.integers(9, 99, drawn.integers(1, 9))]),)
            for _ in range(rows)
        ]
        found = cut(examples, 40, padded=padded, parts=parts)
        order = [index for group in found for index in group]
        assert sorted(order) == [*range(rows)]
        assert len(found) % parts == 0 or len(found) == rows

        pieces = [
            np.split(np.array(order), places)
            for places in combinations(range(1, rows), len(found) - 1)
        ]
        least = min(dearest(examples, groups, padded) for groups in pieces)
        assert dearest(examples, found, padded) == least


def test_eight_rows_in_two_processes_are_one_pass_for_each() -> None:
    # Rows of 115 tokens after a beginning of 35 that all share, as a chat template makes them.
    shared = [*range(5, 40)]
    examples = [(tokens([*shared, *([100 + row] * 80)]),) for row in range(8)]
    assert [len(group) for group in cut(examples, 512, parts=2)] == [4, 4]
