"""Keys and values of the answers that are being written, each in a slot of its own.

Shapes: S slots, C places of a slot, H heads, D head width, B rows of a call, T new tokens of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import Cache

PLACES = 64
"""Slots grow by this many places."""


@dataclass(frozen=True)
class Stored:
    """Keys and values of the first tokens of one row, a pair ``[C, H, D]`` a layer."""

    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]


class Slots(Cache):
    """A cache whose rows come and go: row b of a call stands in slot ``first + b``, and its tokens
    go to places of their own, so that no row waits for another and none is padded on the left.
    """

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self.slots, self.places = slots, 0
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self._first, self._places_BT, self._length = 0, torch.zeros(0, 0), 0

    def call(self, first: int, places_BT: torch.Tensor, length: int) -> None:
        """Says where the next call's rows stand, and how many places it looks at."""
        self._first, self._places_BT, self._length = first, places_BT, length
        if length > self.places:
            self._grow(-(-length // PLACES) * PLACES)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Takes up keys and values ``[B, H, T, D]`` of a layer; returns all of the call's slots,
        ``[B, H, length, D]``.
        """
        if layer_idx == len(self.keys):
            self.keys.append(self._empty(key_states[0].transpose(0, 1)))
            self.values.append(self._empty(value_states[0].transpose(0, 1)))
        end = self._first + len(key_states)
        joined = []
        for kept, new in ((self.keys, key_states), (self.values, value_states)):
            rows = kept[layer_idx][self._first : end]
            index_B1 = torch.arange(len(rows), device=rows.device)[:, None]
            rows[index_B1, self._places_BT] = new.transpose(1, 2)
            joined.append(rows[:, : self._length].transpose(1, 2))
        return joined[0], joined[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Returns how many places the call looks at; positions are always given beside it."""
        return self._length

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the first ``length`` places of a slot into another."""
        for kept in (*self.keys, *self.values):
            kept[target, :length] = kept[source, :length]

    def read(self, slot: int, length: int) -> Stored:
        """Copies the first ``length`` places of a slot out."""
        return Stored(
            tuple(
                (keys[slot, :length].clone(), values[slot, :length].clone())
                for keys, values in zip(self.keys, self.values, strict=True)
            )
        )

    def write(self, slot: int, stored: Stored, length: int) -> None:
        """Copies the first ``length`` places of ``stored`` into a slot."""
        if length > self.places:
            self._grow(-(-length // PLACES) * PLACES)
        for layer, (keys, values) in enumerate(stored.layers):
            if layer == len(self.keys):
                self.keys.append(self._empty(keys))
                self.values.append(self._empty(values))
            self.keys[layer][slot, :length] = keys[:length]
            self.values[layer][slot, :length] = values[:length]

    def clear(self) -> None:
        """Gives the memory back."""
        self.keys, self.values, self.places = [], [], 0

    def token_bytes(self) -> int:
        """Returns the bytes of one token in all layers, once a call was made."""
        return sum(
            tensor.element_size() * tensor[0, 0].numel() for tensor in (*self.keys, *self.values)
        )

    def _empty(self, like_CHD: torch.Tensor) -> torch.Tensor:
        return like_CHD.new_zeros(self.slots, self.places, *like_CHD.shape[1:])

    def _grow(self, places: int) -> None:
        self.places = places
        for kept in (self.keys, self.values):
            for layer, old in enumerate(kept):
                new = old.new_zeros(self.slots, places, *old.shape[2:])
                new[:, : old.shape[1]] = old
                kept[layer] = new
