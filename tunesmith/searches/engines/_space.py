"""The values that a setting may take in a search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Space:
    """A range, or a list of choices."""

    kind: Literal["log", "uniform", "int", "choices"]
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()

    def at(self, share: float) -> Any:
        """Returns the value at ``share`` of the way, 0 up to but not 1; of a list the choice that
        this share falls on. Numbers have three digits, as a person would write them.
        """
        if self.kind == "choices":
            return self.choices[int(share * len(self.choices))]
        if self.kind == "int":
            return int(self.low + math.floor(share * (self.high - self.low + 1)))
        if self.kind == "log":
            # Evenly in the logarithm: as many trials between 1e-5 and 1e-4 as between 1e-4 and
            # 1e-3.
            return float(f"{self.low * (self.high / self.low) ** share:.3g}")
        return float(f"{self.low + share * (self.high - self.low):.3g}")

    def ends(self) -> tuple[Any, ...]:
        """Returns every choice, or both ends of the range."""
        return self.choices or (self.at(0.0), self._top())

    def values(self) -> Sequence[Any] | None:
        """Returns all values, or None of a range between whose numbers lie others."""
        if self.kind == "int":
            return range(int(self.low), int(self.high) + 1)
        return self.choices or None

    def _top(self) -> Any:
        return int(self.high) if self.kind == "int" else self.high
