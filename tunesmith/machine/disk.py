"""What a run leaves on the disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tunesmith.settings.family import OPTIMIZERS
from tunesmith.settings.run import Run


@dataclass(frozen=True)
class Disk:
    """Bytes: one checkpoint, everything the run leaves, and what is free where it goes."""

    checkpoint: int
    needed: int
    free: int

    def to_json(self) -> dict[str, int]:
        """The three numbers."""
        return dict(vars(self))


def disk_of(trainable: int, saved: int, run: Run) -> Disk:
    """Checkpoints hold the trained weights in fp32 and the optimizer's state; ``model`` and
    ``best`` are ``saved`` bytes each.

    One checkpoint more than are kept is there while the newest is written.
    """
    checkpoint = int(trainable * (4 + OPTIMIZERS.get(run.train.optimizer.name).state_bytes))
    needed = (run.train.keep.keep + 1) * checkpoint + 2 * saved
    return Disk(checkpoint, needed, free_space(Path(run.out)))


def free_space(path: Path) -> int:
    """Bytes free on the disk where ``path`` is, or would be."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
