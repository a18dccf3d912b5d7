"""Prompts that were computed before: a request that begins as one of them does takes over its keys
and values.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from tunesmith.serving.rows import in_common
from tunesmith.serving.slots import Stored

FEWEST = 16
"""Tokens from which a beginning is worth keeping, or taking over."""


@dataclass
class Kept:
    """The beginnings of the latest rows, of at most ``most`` tokens together."""

    most: int
    tokens: int = 0
    _entries: OrderedDict[int, tuple[str, np.ndarray, Stored]] = field(default_factory=OrderedDict)
    _next: int = 0

    def find(self, adapter: str, prompt: np.ndarray) -> tuple[Stored | None, int]:
        """Returns the entry with the longest common beginning, and the length of that."""
        shared = [
            (in_common(ids, prompt), key)
            for key, (name, ids, _) in self._entries.items()
            if name == adapter
        ]
        length, key = max(shared, default=(0, -1))
        if length < FEWEST:
            return None, 0
        self._entries.move_to_end(key)
        return self._entries[key][2], length

    def wants(self, adapter: str, ids: np.ndarray) -> bool:
        """Tells whether these tokens are worth keeping: enough of them, and not there already."""
        return FEWEST <= len(ids) <= self.most and not any(
            name == adapter and in_common(kept, ids) == len(ids)
            for name, kept, _ in self._entries.values()
        )

    def add(self, adapter: str, ids: np.ndarray, stored: Stored) -> None:
        """Keeps these tokens; entries that they continue go, then the oldest."""
        for key, (name, kept, _) in [*self._entries.items()]:
            if name == adapter and in_common(kept, ids) == len(kept):
                self._drop(key)
        while self._entries and self.tokens + len(ids) > self.most:
            self._drop(next(iter(self._entries)))
        self._entries[self._next] = (adapter, ids, stored)
        self._next += 1
        self.tokens += len(ids)

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self.tokens = 0

    def _drop(self, key: int) -> None:
        self.tokens -= len(self._entries.pop(key)[1])
