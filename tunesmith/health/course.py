"""The numbers of a run that the rules look at, as its folder holds them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from tunesmith.plain import Named
from tunesmith.storage.run_folder import RunFolder, read_lines

Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Course:
    """The lines of record.jsonl so far, and what else the folder knows."""

    lines: Sequence[Named]
    tokens: Named = field(default_factory=dict)
    """Of the training rows, as the ledger counts them: total, scored."""
    answers: Sequence[tuple[int, bool]] = ()
    """Of the proof: the tokens of each right answer, and whether the tuned model's ended."""
    limit: int | None = None
    """Tokens that an answer may have."""
    proved: int | None = None
    """The step whose model was proved."""

    @classmethod
    def of(cls, folder: RunFolder, lines: Sequence[Named] | None = None) -> Course:
        """Reads it from a run's folder; ``lines`` where its record is open."""
        ledger = folder.read(folder.ledger) or {}
        proof = folder.read(folder.proof) or {}
        generation = proof.get("generation") or {}
        return cls(
            folder.steps() if lines is None else lines,
            ledger.get("tokens") or {},
            _endings(folder) if generation else (),
            generation.get("max_new_tokens"),
            (proof.get("model") or {}).get("step"),
        )

    @cached_property
    def made(self) -> list[Named]:
        """The lines of all steps."""
        return [line for line in self.lines if "event" not in line and "evaluation" not in line]

    @cached_property
    def steps(self) -> list[Named]:
        """The lines of steps that made an update on rows; answers of the model's own have rules of
        their own (``training/sampled_health.py``).
        """
        return [
            line
            for line in self.made
            if isinstance(line.get("loss"), float) and "stopped" not in line
        ]

    @property
    def last(self) -> int:
        """The last step."""
        return self.made[-1]["step"] if self.made else 0

    def values(self, name: str) -> list[float]:
        """Returns a number of all steps on rows that have it."""
        return _finite(line.get(name) for line in self.steps)

    def held(self) -> list[float]:
        """Returns the memory (GiB) that was held after each step, of whatever kind; where it is not
        known what is held, the most so far, which hides all that is below it.
        """
        held, most = (
            _finite(line.get(name) for line in self.made) for name in ("held_gib", "memory_gib")
        )
        return held or most

    @cached_property
    def losses(self) -> list[float]:
        """The loss of each step."""
        return self.values("loss")

    @cached_property
    def watched(self) -> Points:
        """The loss on the validation rows, or on those of the proof where there are no others, by
        step; 0 is the base.
        """
        losses = [
            (int(line["step"]), line["evaluation"].get("loss"))
            for line in self.lines
            if "evaluation" in line
        ]
        return tuple((step, loss) for step, loss in losses if isinstance(loss, float))

    @cached_property
    def noise(self) -> float:
        """The standard deviation of a step's loss around its trend, from neighbours."""
        apart = [(after - before) ** 2 / 2 for before, after in pairwise(self.losses)]
        return math.sqrt(statistics.fmean(apart)) if apart else 0.0

    def thirds(self) -> tuple[float, float, float]:
        """Returns the mean loss of the first, the middle and the last third of the steps."""
        size = len(self.losses) // 3
        middle = self.losses[size : len(self.losses) - size]
        parts = (self.losses[:size], middle, self.losses[-size:])
        first, between, last = (statistics.fmean(part) for part in parts)
        return first, between, last


def _finite(values: Iterable[object]) -> list[float]:
    return [
        float(value) for value in values if isinstance(value, float | int) and math.isfinite(value)
    ]


def _endings(folder: RunFolder) -> list[tuple[int, bool]]:
    """Reads how long the right answers are, and whether the tuned model's ended, from
    items.jsonl.
    """
    if not folder.items.is_file():
        return []
    endings = []
    for line in read_lines(folder.items):
        counted = line.get("nll", {}).get("tuned")
        ended = line.get("stopped", {}).get("tuned")
        if counted and ended is not None:
            endings.append((int(counted[1]), bool(ended)))
    return endings
