"""Sequences as trees: beginnings that they have in common stand once. T tokens of the flat row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

# Hanging a sequence from a shared segment costs an attention call and a gather; below this many
# shared tokens it costs more than computing them again.
SHORTEST_SHARED = 8


@dataclass(frozen=True)
class Segment:
    """Tokens ``start`` to ``stop`` of the flat row, hanging from segment ``parent`` (-1: a root),
    at ``depth``.
    """

    start: int
    stop: int
    parent: int
    depth: int


@dataclass(frozen=True, eq=False)
class Forest:
    """The segments of one flat row. ``cache`` holds what attention derives from them, for one call
    of the model.
    """

    segments: tuple[Segment, ...]
    cache: dict[Any, Any] = field(default_factory=dict)
    above: tuple[tuple[torch.Tensor, torch.Tensor], ...] = ()
    """Keys and values of every layer (``[1, heads, tokens, width]``) that stand above every root;
    no tokens of the row.
    """

    def under(self, count: int) -> Forest:
        """Returns the same trees under one root of ``count`` tokens, which comes first in
        the row.
        """
        moved = (
            Segment(s.start + count, s.stop + count, s.parent + 1, s.depth + count)
            for s in self.segments
        )
        return Forest((Segment(0, count, -1, 0), *moved))


@dataclass(eq=False)
class _Node:
    """A segment while the trees are built; its place in the row is known once all sequences
    hang.
    """

    ids: np.ndarray
    children: list[_Node] = field(default_factory=list)
    flat_T: np.ndarray | None = None


def plant(
    sequences: list[np.ndarray], shortest: int | None
) -> tuple[list[Segment], list[np.ndarray]]:
    """Grows the segments of a forest, parents first, and returns where the tokens of each sequence
    are in the flat row.

    A beginning is shared where that saves at least ``shortest`` tokens; None shares nothing.
    """
    root = _Node(np.zeros(0, np.int32), flat_T=np.zeros(0, np.int64))
    ends = [_hang(root, ids, shortest) for ids in sequences]
    segments: list[Segment] = []
    # A stack gives the last first: in reverse, segments stand in the order of the sequences.
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
    """Hangs a sequence under ``node`` and returns the node at which it ends."""
    while len(ids):
        lengths = (
            [common_beginning(child.ids, ids) for child in node.children]
            if shortest is not None
            else []
        )
        best = int(np.argmax(lengths)) if lengths else -1
        if best < 0 or lengths[best] < min(shortest or 0, len(ids), len(node.children[best].ids)):
            node.children.append(_Node(ids))
            return node.children[-1]
        child = node.children[best]
        shared = lengths[best]
        if shared < len(child.ids):
            # The lower part keeps its identity: sequences that end there already point to it.
            node.children[best] = _Node(child.ids[:shared], [child])
            child.ids = child.ids[shared:]
            child = node.children[best]
        node, ids = child, ids[shared:]
    return node


def common_beginning(left: np.ndarray, right: np.ndarray) -> int:
    """Counts the tokens that two sequences have in common before they differ."""
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if len(different) else length
