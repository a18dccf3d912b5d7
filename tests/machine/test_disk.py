"""What a run leaves on the disk: as many checkpoints as it writes and keeps."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.machine.disk import disk_of
from tunesmith.settings.run import validate


@pytest.mark.parametrize(
    ("train", "count"),
    [
        ({"keep": {"save": 0, "keep": 5}}, 1),
        ({"keep": {"save": 0.1, "keep": 2}}, 3),
        ({"keep": {"save": 0.5, "keep": 9}}, 2),
        ({"keep": {"save": 100, "keep": 4}, "steps": 250}, 3),
        ({"keep": {"save": 0.1, "keep": 9}, "steps": 2}, 2),
        ({"keep": {"save": "epoch", "keep": 9}, "epochs": 4}, 4),
        ({"keep": {"save": "epoch", "keep": 2}, "epochs": 4}, 3),
    ],
)
def test_the_checkpoints_that_are_written_are_counted(train: dict[str, Any], count: int) -> None:
    run = validate({"model": "m", "data": "d", "out": "o", "train": train})
    disk = disk_of(1000, 4000, run)
    assert disk.checkpoints == count
    assert disk.needed == count * disk.checkpoint + 8000
