"""What a run leaves on the disk."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from tunesmith.settings.family import OPTIMIZERS
from tunesmith.settings.run import Run


@dataclass(frozen=True)
class Disk:
    """Bytes: one checkpoint, everything the run leaves, and what is free where it goes."""

    checkpoint: int
    checkpoints: int
    """How many of them lie there at once, at most."""
    needed: int
    free: int

    def to_json(self) -> dict[str, int]:
        """Returns the numbers."""
        return dict(vars(self))


def disk_of(trainable: int, saved: int, run: Run) -> Disk:
    """Estimates the disk space of a run: checkpoints hold the trained weights in fp32, the
    optimizer's state and the model as it is saved; ``model`` and ``best`` are ``saved`` bytes each.

    One checkpoint more than are kept is there while the newest is written, where the run writes so
    many. A divided model is gathered in files before it is saved.
    """
    state = 4 + OPTIMIZERS.get(run.train.optimizer.name).state_bytes
    checkpoint = int(trainable * state) + saved
    count = min(run.train.keep.keep + 1, _written(run))
    models = 2 if run.train.machine.shard == "none" else 3
    needed = count * checkpoint + models * saved
    return Disk(checkpoint, count, needed, free_space(Path(run.out)))


def _written(run: Run) -> int:
    """Counts the checkpoints that a run writes: as often as the settings say, and one at
    its end.
    """
    every, steps = run.train.keep.save, run.train.steps
    if not every:
        return 1
    if every == "epoch":
        return run.train.keep.keep + 1 if steps else math.ceil(run.train.epochs)
    if every < 1:
        most = math.ceil(1 / every - 1e-9)
        return min(most, steps) if steps else most
    return math.ceil(steps / every) if steps else run.train.keep.keep + 1


def free_space(path: Path) -> int:
    """Returns how many bytes are free on the disk where ``path`` is, or would be."""
    there = path.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free
