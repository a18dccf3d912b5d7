"""Tokens, Batch (a forest of segments), Loss and Ratio: all that a model and an objective exchange.

Suffixes: B sequences, T tokens, N scored tokens, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

# Hanging a sequence from a shared segment costs an attention call and a gather; below this many
# shared tokens it costs more than computing them again.
SHORTEST_SHARED = 8


@dataclass(frozen=True)
class Tokens:
    """One rendered sequence. ``weights_T[t]`` is the weight of predicting ``ids_T[t]`` from ``ids_T[:t]``; 0 is context."""

    ids_T: np.ndarray
    weights_T: np.ndarray
    columns: dict[str, Any] = field(default_factory=dict)
    """What else an objective needs: names ending in ``_T`` hold a value a token, others one value a sequence."""
    lost: int = 0
    """Tokens of the row that were cut off already."""

    def __len__(self) -> int:
        return len(self.ids_T)

    @property
    def scored(self) -> int:
        """Number of tokens with a weight; the first token of a sequence is never scored."""
        return int(np.count_nonzero(self.weights_T[1:]))


@dataclass(frozen=True)
class Segment:
    """Tokens ``start`` to ``stop`` of the flat row, hanging from segment ``parent`` (-1: a root), at ``depth``."""

    start: int
    stop: int
    parent: int
    depth: int


@dataclass(frozen=True, eq=False)
class Forest:
    """The segments of one flat row. ``cache`` holds what attention derives from them, for one call of the model."""

    segments: tuple[Segment, ...]
    cache: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """Where the tokens of the sequences lie: one flat row (a forest), or after padding ``rows`` rows of equal length."""

    rows: int
    length: int
    forest: Forest | None
    """None for padded rows."""


@dataclass
class Batch:
    """Sequences as one row of tokens in which shared beginnings stand once or, after ``padded()``, as a row each.

    Tensors are flat whatever the layout; ``input_ids`` is what a model takes. Of ``Tokens.columns``, a value a
    token arrives as ``name_N``, a value a sequence as ``name_B``.
    """

    sequences: tuple[tuple[Tokens, ...], ...]
    layout: Layout
    ids_T: torch.Tensor
    positions_T: torch.Tensor
    mask_T: torch.Tensor
    """1 for a token, 0 for padding; by position, never by id."""
    scored_N: torch.Tensor
    """Flat index of the token whose hidden state predicts; one that sequences share occurs once for each."""
    targets_N: torch.Tensor
    weights_N: torch.Tensor
    owner_N: torch.Tensor
    ends_B: torch.Tensor
    example_B: torch.Tensor
    columns: dict[str, Any]
    units: float

    @classmethod
    def grow(cls, examples: Sequence[Sequence[Tokens]], *, share: bool = True, unit: str = "token") -> Batch:
        """The forest of ``examples``, each a list of sequences, in order; ``share=False`` gives every sequence its own root."""
        sequences = [tokens for example in examples for tokens in example]
        segments, flats = plant([tokens.ids_T for tokens in sequences], SHORTEST_SHARED if share else None)
        length = segments[-1].stop if segments else 0
        return _gather(examples, flats, Layout(1, length, Forest(tuple(segments))), unit=unit)

    def padded(self, pad_id: int = 0) -> Batch:
        """The same sequences right-padded, a row each."""
        sequences = [tokens for example in self.sequences for tokens in example]
        length = max(map(len, sequences))
        flats = [row * length + np.arange(len(tokens)) for row, tokens in enumerate(sequences)]
        batch = _gather(self.sequences, flats, Layout(len(sequences), length, None), unit="token", pad_id=pad_id)
        return replace(batch, units=self.units).to(self.ids_T.device)

    @property
    def input_ids(self) -> torch.Tensor:
        """The ids as rows."""
        return self.ids_T.view(self.layout.rows, self.layout.length)

    def places(self) -> list[np.ndarray]:
        """Where the tokens of each sequence lie in the flat layout."""
        if self.layout.forest is None:
            lengths = [len(tokens) for example in self.sequences for tokens in example]
            return [row * self.layout.length + np.arange(length) for row, length in enumerate(lengths)]
        segments = self.layout.forest.segments
        found: list[np.ndarray] = []
        for end in self.ends_B.tolist():
            # A sequence ends where a segment does.
            index = next(number for number, segment in enumerate(segments) if segment.stop == end + 1)
            pieces: list[np.ndarray] = []
            while index >= 0:
                pieces.append(np.arange(segments[index].start, segments[index].stop))
                index = segments[index].parent
            found.append(np.concatenate(pieces[::-1]))
        return found

    def to(self, device: Any) -> Batch:
        """The batch with its tensors on ``device``."""
        import torch

        def move(value: Any) -> Any:
            return value.to(device) if isinstance(value, torch.Tensor) else value

        moved: dict[str, Any] = {name: move(value) for name, value in vars(self).items()}
        moved["columns"] = {name: move(value) for name, value in self.columns.items()}
        return replace(self, **moved)


def _gather(
    examples: Sequence[Sequence[Tokens]], flats: list[np.ndarray], layout: Layout, *, unit: str, pad_id: int = 0
) -> Batch:
    """A Batch, from where the tokens of each sequence lie."""
    import torch

    sequences = [tokens for example in examples for tokens in example]
    # The first token of a sequence has no context that could predict it.
    scored = [np.flatnonzero(tokens.weights_T[1:]) + 1 for tokens in sequences]
    ids_T = np.full(layout.rows * layout.length, pad_id, np.int64)
    positions_T = np.zeros(len(ids_T), np.int64)
    mask_T = np.zeros(len(ids_T), np.int64)
    for tokens, flat_t in zip(sequences, flats, strict=True):
        ids_T[flat_t], positions_T[flat_t], mask_T[flat_t] = tokens.ids_T, np.arange(len(tokens)), 1

    def joined(pieces: list[np.ndarray], dtype: type) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(pieces).astype(dtype) if pieces else np.zeros(0, dtype))

    weights_N = joined([tokens.weights_T[t] for tokens, t in zip(sequences, scored, strict=True)], np.float32)
    units = {"token": float(weights_N.sum()), "sequence": float(len(sequences)), "example": float(len(examples))}
    return Batch(
        sequences=tuple(tuple(example) for example in examples),
        layout=layout,
        ids_T=torch.from_numpy(ids_T),
        positions_T=torch.from_numpy(positions_T),
        mask_T=torch.from_numpy(mask_T),
        scored_N=joined([flat_t[t - 1] for flat_t, t in zip(flats, scored, strict=True)], np.int64),
        targets_N=joined([tokens.ids_T[t] for tokens, t in zip(sequences, scored, strict=True)], np.int64),
        weights_N=weights_N,
        owner_N=torch.from_numpy(np.repeat(np.arange(len(sequences)), [len(t) for t in scored])),
        ends_B=torch.tensor([int(flat_t[-1]) for flat_t in flats], dtype=torch.int64),
        example_B=torch.from_numpy(np.repeat(np.arange(len(examples)), [len(example) for example in examples])),
        columns=_columns(sequences, scored),
        units=units[unit],
    )


def _columns(sequences: list[Tokens], scored: list[np.ndarray]) -> dict[str, Any]:
    import torch

    found: dict[str, Any] = {}
    for name in sequences[0].columns if sequences else ():
        values = [tokens.columns[name] for tokens in sequences]
        if name.endswith("_T"):
            pieces = [np.asarray(value)[t] for value, t in zip(values, scored, strict=True)]
            found[name.removesuffix("_T") + "_N"] = torch.from_numpy(np.concatenate(pieces))
        else:
            numbers = all(isinstance(value, int | float | np.number) for value in values)
            found[name + "_B"] = torch.tensor(values) if numbers else values
    return found


@dataclass(eq=False)
class _Node:
    """A segment while the trees are built; its place in the row is known once all sequences hang."""

    ids: np.ndarray
    children: list[_Node] = field(default_factory=list)
    flat_T: np.ndarray | None = None


def plant(sequences: list[np.ndarray], shortest: int | None) -> tuple[list[Segment], list[np.ndarray]]:
    """The segments of a forest, parents first, and where the tokens of each sequence lie in the flat row.

    A beginning is shared where that saves at least ``shortest`` tokens; None shares nothing.
    """
    root = _Node(np.zeros(0, np.int32), flat_T=np.zeros(0, np.int64))
    ends = [_hang(root, ids, shortest) for ids in sequences]
    segments: list[Segment] = []
    waiting = [(child, root, -1) for child in reversed(root.children)]
    while waiting:
        node, parent, parent_index = waiting.pop()
        assert parent.flat_T is not None
        start = segments[-1].stop if segments else 0
        stop = start + len(node.ids)
        waiting += [(child, node, len(segments)) for child in reversed(node.children)]
        segments.append(Segment(start, stop, parent_index, len(parent.flat_T)))
        node.flat_T = np.concatenate([parent.flat_T, np.arange(start, stop)])
    return segments, [end.flat_T for end in ends if end.flat_T is not None]


def _hang(node: _Node, ids: np.ndarray, shortest: int | None) -> _Node:
    """Hangs a sequence under ``node`` and gives the node at which it ends."""
    while len(ids):
        lengths = [common_beginning(child.ids, ids) for child in node.children] if shortest is not None else []
        best = int(np.argmax(lengths)) if lengths else -1
        if best < 0 or lengths[best] < min(shortest or 0, len(ids), len(node.children[best].ids)):
            node.children.append(_Node(ids))
            return node.children[-1]
        child, shared = node.children[best], lengths[best]
        if shared < len(child.ids):
            # The lower part keeps its identity: sequences that end there already point to it.
            node.children[best] = _Node(child.ids[:shared], [child])
            child.ids = child.ids[shared:]
            child = node.children[best]
        node, ids = child, ids[shared:]
    return node


def common_beginning(left: np.ndarray, right: np.ndarray) -> int:
    """How many tokens two sequences have in common before they differ."""
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if len(different) else length


@dataclass(frozen=True)
class Ratio:
    """A sum and the count it is over; ratios add, so averages stay right over micro-batches and ranks."""

    sum: float
    count: float

    def __add__(self, other: Ratio) -> Ratio:
        return Ratio(self.sum + other.sum, self.count + other.count)

    @property
    def value(self) -> float:
        """The average, nan over nothing."""
        return self.sum / self.count if self.count else float("nan")


@dataclass
class Loss:
    """``total`` is a sum over the batch's units, never a mean."""

    total: torch.Tensor
    metrics: dict[str, Ratio] = field(default_factory=dict)
