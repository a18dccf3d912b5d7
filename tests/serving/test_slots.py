"""The cache of the running batch: what is put into a slot is what is looked at, and no other."""

from __future__ import annotations

import torch

from tunesmith.serving.slots import PLACES, Slots

HEADS, WIDTH = 2, 3


def states(rows: int, tokens: int) -> torch.Tensor:
    return torch.randn(rows, HEADS, tokens, WIDTH)


def test_rows_of_different_lengths_stand_side_by_side() -> None:
    cache, layers = Slots(4), 2
    first = [(states(2, 3), states(2, 3)) for _ in range(layers)]
    cache.call(1, torch.tensor([[0, 1, 2], [0, 1, 2]]), 3)
    for layer, (keys, values) in enumerate(first):
        seen_keys, seen_values = cache.update(keys, values, layer)
        assert torch.equal(seen_keys, keys) and torch.equal(seen_values, values)
    # The second row was only two tokens long: its next token goes to place 2, the other's to 3.
    cache.call(1, torch.tensor([[3], [2]]), 4)
    keys, values = states(2, 1), states(2, 1)
    seen_keys, _ = cache.update(keys, values, 0)
    assert torch.equal(seen_keys[0, :, :3], first[0][0][0])
    assert torch.equal(seen_keys[0, :, 3], keys[0, :, 0])
    assert torch.equal(seen_keys[1, :, :2], first[0][0][1, :, :2])
    assert torch.equal(seen_keys[1, :, 2], keys[1, :, 0])
    assert cache.get_seq_length() == 4
    assert not cache.keys[0][0].any() and not cache.keys[0][3].any(), "other slots are untouched"
    assert cache.token_bytes() == 2 * layers * HEADS * WIDTH * 4


def test_a_slot_is_moved_read_written_and_grows_with_what_it_holds() -> None:
    cache = Slots(3)
    keys, values = states(1, 5), states(1, 5)
    cache.call(2, torch.arange(5)[None], 5)
    cache.update(keys, values, 0)
    cache.move(2, 0, 5)
    kept = cache.read(0, 4)
    cache.call(0, torch.tensor([[PLACES]]), PLACES + 1)  # beyond what there is
    seen, _ = cache.update(states(1, 1), states(1, 1), 0)
    assert torch.equal(seen[0, :, :5], keys[0]), "what was there is there after growing"
    fresh = Slots(2)
    fresh.write(1, kept, 4)
    fresh.call(1, torch.tensor([[4]]), 5)
    seen, _ = fresh.update(states(1, 1), states(1, 1), 0)
    assert torch.equal(seen[0, :, :4], keys[0, :, :4])
    cache.clear()
    assert cache.token_bytes() == 0 and cache.places == 0
