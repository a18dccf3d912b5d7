"""Tokens, Batch (a forest of segments), Loss and Ratio: all that a model and an objective exchange.

Suffixes: B sequences, T tokens, N scored tokens, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.forest import SHORTEST_SHARED, Forest, plant
from tunesmith.batches.sending import sent_together
from tunesmith.plain import JsonObject

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Tokens:
    """One rendered sequence. ``weights_T[t]`` is the weight of predicting ``ids_T[t]`` from
    ``ids_T[:t]``; 0 is context.

    For a model with an encoder and a decoder ``ids_T`` is the decoder's side, which begins with its
    start token.
    """

    ids_T: np.ndarray
    weights_T: np.ndarray
    columns: JsonObject = field(default_factory=dict)
    """What else an objective needs: names ending in ``_T`` hold a value a token, others one value a
    sequence.
    """
    source_ids_T: np.ndarray | None = None
    """The encoder's side; None for a decoder alone."""
    lost: int = 0
    """Tokens of the row that were cut off already."""

    def __len__(self) -> int:
        """Counts the tokens that a model computes for it, on both sides."""
        return len(self.ids_T) + (0 if self.source_ids_T is None else len(self.source_ids_T))

    @property
    def longest(self) -> int:
        """The longer of its sides (tokens): each has the model's whole length to itself."""
        return max(len(self.ids_T), len(self) - len(self.ids_T))

    @property
    def labelled(self) -> int:
        """Number of tokens that have a class of their own: a ``label_T`` from 0 on."""
        return int(np.count_nonzero(self.columns.get("label_T", np.empty(0)) >= 0))

    @property
    def scored(self) -> int:
        """Number of tokens with a weight; the first token of a sequence is never scored."""
        return int(np.count_nonzero(self.weights_T[1:]))


@dataclass(frozen=True)
class Layout:
    """Where the tokens of the sequences lie: one flat row (a forest), or after padding ``rows``
    rows of equal length.
    """

    rows: int
    length: int
    forest: Forest | None
    """None for padded rows."""
    places: tuple[np.ndarray, ...] = ()
    """Where the tokens of each sequence lie in the flat row; on the host, where reading them costs
    no wait.
    """


@dataclass
class Batch:
    """Sequences as one row of tokens in which shared beginnings stand once or, after ``padded()``,
    as a row each.

    Tensors are flat whatever the layout; ``input_ids`` is what a model takes. Of
    ``Tokens.columns``, a value a token arrives as ``name_N``, a value a sequence as ``name_B``.
    """

    sequences: tuple[tuple[Tokens, ...], ...]
    layout: Layout
    ids_T: torch.Tensor
    positions_T: torch.Tensor
    mask_T: torch.Tensor
    """1 for a token, 0 for padding; by position, never by id."""
    scored_N: torch.Tensor
    """Flat index of the token whose hidden state predicts; one that sequences share occurs once for
    each.
    """
    targets_N: torch.Tensor
    weights_N: torch.Tensor
    owner_N: torch.Tensor
    ends_B: torch.Tensor
    example_B: torch.Tensor
    columns: JsonObject
    units: float
    units_B: torch.Tensor
    """Of the units, those of each sequence."""
    source_ids_BS: torch.Tensor | None = None
    """The encoder's side of padded rows, S tokens wide; None for a decoder alone."""
    source_mask_BS: torch.Tensor | None = None
    """1 for a token, 0 for padding."""
    idle: bool = False
    """Whether nothing of it counts: it is run because other processes run one more."""

    @classmethod
    def grow(
        cls, examples: Sequence[Sequence[Tokens]], *, share: bool = True, unit: str = "token"
    ) -> Batch:
        """Grows the forest of ``examples``, each a list of sequences, in order; ``share=False``
        gives every sequence its own root.
        """
        sequences = [tokens for example in examples for tokens in example]
        segments, flats = plant(
            [tokens.ids_T for tokens in sequences], SHORTEST_SHARED if share else None
        )
        length = segments[-1].stop if segments else 0
        return _gather(examples, flats, Layout(1, length, Forest(tuple(segments))), unit=unit)

    def padded(self, pad_id: int = 0) -> Batch:
        """Returns the same sequences right-padded, a row each."""
        sequences = [tokens for example in self.sequences for tokens in example]
        length = max(len(tokens.ids_T) for tokens in sequences)
        flats = [
            row * length + np.arange(len(tokens.ids_T)) for row, tokens in enumerate(sequences)
        ]
        batch = _gather(
            self.sequences, flats, Layout(len(sequences), length, None), unit="token", pad_id=pad_id
        )
        # The unit it was grown for is not kept, but what was counted in it is.
        batch = replace(batch, units=self.units, units_B=self.units_B)
        sources = [tokens.source_ids_T for tokens in sequences if tokens.source_ids_T is not None]
        if sources:
            assert len(sources) == len(sequences), (
                "all sequences of a batch have an encoder's side, or none has"
            )
            batch.source_ids_BS, batch.source_mask_BS = right_padded(sources, pad_id)
        return batch.to(self.ids_T.device)

    def unscored(self) -> Batch:
        """Returns the same sequences with nothing that counts."""
        return replace(self, units=0.0, units_B=self.units_B * 0, idle=True)

    def members(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns flat index and sequence of every token, sequence by sequence: a shared token once
        for each of its owners, no padding.
        """
        import torch

        places = self.layout.places
        owners = np.repeat(np.arange(len(places)), [len(tokens) for tokens in places])
        index_M, owner_M = sent_together(
            [torch.from_numpy(np.concatenate(places)), torch.from_numpy(owners)], self.ids_T.device
        )
        return index_M, owner_M

    @property
    def input_ids(self) -> torch.Tensor:
        """The ids as rows."""
        return self.ids_T.view(self.layout.rows, self.layout.length)

    def to(self, device: Any) -> Batch:
        """Moves the batch's tensors to ``device``."""
        import torch

        fields = {name: value for name, value in vars(self).items() if name != "columns"}
        named = [(fields, name) for name in fields] + [
            (self.columns, name) for name in self.columns
        ]
        tensors = [(part, name) for part, name in named if isinstance(part[name], torch.Tensor)]
        moved = sent_together([part[name] for part, name in tensors], torch.device(device))
        columns = dict(self.columns)
        for (part, name), value in zip(tensors, moved, strict=True):
            (fields if part is fields else columns)[name] = value
        return replace(self, **fields, columns=columns)


def right_padded(rows: Sequence[np.ndarray], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pads ids at their ends, ``[rows, longest]``, and returns them with the mask: 1 for a token,
    by position.
    """
    import torch

    ids_BS = torch.full((len(rows), max(map(len, rows))), pad_id, dtype=torch.long)
    mask_BS = torch.zeros_like(ids_BS)
    for index, row in enumerate(rows):
        ids_BS[index, : len(row)] = torch.from_numpy(np.asarray(row, dtype=np.int64))
        mask_BS[index, : len(row)] = 1
    return ids_BS, mask_BS


def _gather(
    examples: Sequence[Sequence[Tokens]],
    flats: list[np.ndarray],
    layout: Layout,
    *,
    unit: str,
    pad_id: int = 0,
) -> Batch:
    """Builds a Batch from the positions of each sequence's tokens."""
    import torch

    sequences = [tokens for example in examples for tokens in example]
    # The first token of a sequence has no context that could predict it.
    scored = [np.flatnonzero(tokens.weights_T[1:]) + 1 for tokens in sequences]
    ids_T = np.full(layout.rows * layout.length, pad_id, np.int64)
    positions_T = np.zeros(len(ids_T), np.int64)
    mask_T = np.zeros(len(ids_T), np.int64)
    for tokens, flat_t in zip(sequences, flats, strict=True):
        ids_T[flat_t], positions_T[flat_t], mask_T[flat_t] = tokens.ids_T, np.arange(len(flat_t)), 1

    weights_N = _joined(
        [tokens.weights_T[t] for tokens, t in zip(sequences, scored, strict=True)], np.float32
    )
    units = {
        "token": float(weights_N.sum()),
        "label": float(sum(tokens.labelled for tokens in sequences)),
        "sequence": float(len(sequences)),
        "example": float(len(examples)),
    }
    each = {
        "token": [
            float(tokens.weights_T[t].sum()) for tokens, t in zip(sequences, scored, strict=True)
        ],
        "label": [float(tokens.labelled) for tokens in sequences],
        "sequence": [1.0] * len(sequences),
        "example": [1.0 / len(example) for example in examples for _ in example],
    }
    return Batch(
        sequences=tuple(tuple(example) for example in examples),
        layout=replace(layout, places=tuple(flats)),
        ids_T=torch.from_numpy(ids_T),
        positions_T=torch.from_numpy(positions_T),
        mask_T=torch.from_numpy(mask_T),
        # What predicts a token is the hidden state of the one before it.
        scored_N=_joined(
            [flat_t[t - 1] for flat_t, t in zip(flats, scored, strict=True)], np.int64
        ),
        targets_N=_joined(
            [tokens.ids_T[t] for tokens, t in zip(sequences, scored, strict=True)], np.int64
        ),
        weights_N=weights_N,
        owner_N=torch.from_numpy(np.repeat(np.arange(len(sequences)), [len(t) for t in scored])),
        ends_B=torch.tensor([int(flat_t[-1]) for flat_t in flats], dtype=torch.int64),
        example_B=torch.from_numpy(
            np.repeat(np.arange(len(examples)), [len(example) for example in examples])
        ),
        columns=_columns(sequences, scored),
        units=units[unit],
        units_B=torch.tensor(each[unit], dtype=torch.float32),
    )


def _joined(pieces: list[np.ndarray], dtype: type) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.concatenate(pieces).astype(dtype) if pieces else np.zeros(0, dtype))


def _columns(sequences: list[Tokens], scored: list[np.ndarray]) -> dict[str, object]:
    import torch

    columns: dict[str, object] = {}
    for name in sequences[0].columns if sequences else ():
        values = [tokens.columns[name] for tokens in sequences]
        if name.endswith("_T"):
            pieces = [np.asarray(value)[t] for value, t in zip(values, scored, strict=True)]
            columns[name.removesuffix("_T") + "_N"] = torch.from_numpy(np.concatenate(pieces))
        else:
            numbers = all(isinstance(value, int | float | np.number) for value in values)
            columns[name + "_B"] = torch.tensor(values) if numbers else values
    return columns


@dataclass(frozen=True)
class Ratio:
    """A sum and the count it is over; ratios add, so averages stay right over micro-batches and
    processes.

    A number may still lie on the device, as a tensor ``[]``: reading it there and then would make
    the device wait. ``added`` reads all of a step at once.
    """

    sum: float | torch.Tensor
    count: float | torch.Tensor

    def __add__(self, other: Ratio) -> Ratio:
        return Ratio(self.sum + other.sum, self.count + other.count)

    @property
    def value(self) -> float:
        """The average; nan over nothing."""
        return float(self.sum / self.count) if self.count else float("nan")


def added(parts: Sequence[dict[str, Ratio]]) -> dict[str, Ratio]:
    """Adds up the metrics of several batches by name; the device is waited for once."""
    import torch

    numbers = [
        number for part in parts for ratio in part.values() for number in (ratio.sum, ratio.count)
    ]
    waiting = [number for number in numbers if isinstance(number, torch.Tensor)]
    away = [number.detach() for number in waiting if number.device.type != "cpu"]
    # Apple's GPUs have no fp64.
    exact = torch.float32 if any(number.is_mps for number in away) else torch.float64
    read = iter(torch.stack([number.to(exact) for number in away]).tolist() if away else ())

    def plain(number: float | torch.Tensor) -> float:
        there = isinstance(number, torch.Tensor) and number.device.type != "cpu"
        return next(read) if there else float(number)

    totals: dict[str, Ratio] = {}
    for part in parts:
        for name, ratio in part.items():
            plain_ratio = Ratio(plain(ratio.sum), plain(ratio.count))
            totals[name] = totals.get(name, Ratio(0.0, 0.0)) + plain_ratio
    return totals


@dataclass
class Loss:
    """``total`` is a sum over the batch's units, never a mean."""

    total: torch.Tensor
    metrics: dict[str, Ratio] = field(default_factory=dict)
