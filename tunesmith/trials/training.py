"""One training among several: its part of the whole, how it is shown, what it took, and
how good it is."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from rich.console import Console

from tunesmith.display.progress import PLAIN_EVERY, Shown
from tunesmith.plain import JsonObject
from tunesmith.proving.judge import metric
from tunesmith.settings.run import Train


def part_of(train: Train, steps: int, share: float) -> Train:
    """Returns the settings of a training that takes ``share`` of ``steps``, warmed up and cooled
    down in that time.
    """
    if share == 1:
        return train
    warmup = train.warmup if train.warmup < 1 else max(1.0, round(share * train.warmup))
    return train.model_copy(update={"steps": max(1, round(share * steps)), "warmup": warmup})


class Titled(Shown):
    """The display of one piece: each phase under the piece's own title; what a single run would
    tell stays unsaid.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        super().__init__(console)
        self.title = title
        self.last = time.monotonic()

    def tell(self, text: str) -> None:
        """Shows only the phases of a piece."""
        if text.startswith(self.title):
            super().tell(text)

    def __call__(self, phase: str, done: int, total: int, detail: str = "") -> None:
        """Shows the progress of the piece; without a terminal only now and then, because most
        pieces are short.
        """
        now = time.monotonic()
        if self.console.is_terminal or now - self.last >= PLAIN_EVERY:
            self.last = now
            super().__call__(f"{self.title}  {phase}", done, total, detail)


def taken(lines: list[JsonObject]) -> JsonObject:
    """Returns what a training took, from its record: seconds of its steps, tokens read, the most
    memory.
    """
    steps = [line for line in lines if "loss" in line and "event" not in line]
    peaks = [line["memory_gib"] for line in steps if line.get("memory_gib") is not None]
    return {
        "steps": len(steps),
        "seconds": round(sum(line["seconds"] for line in steps), 3),
        "scored_tokens": sum(line["tokens"] for line in steps),
        "memory_gib": max(peaks, default=None),
    }


def badness(watch: Mapping[str, float] | None, name: str) -> float:
    """Returns the validation rows' number by which trainings are compared, ``loss`` or a metric,
    lower is better; infinite where there is none, or none that is finite.
    """
    value = (watch or {}).get(name, math.inf)
    if not math.isfinite(value):
        return math.inf
    return -value if name != "loss" and metric(name).higher else value
