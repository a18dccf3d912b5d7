"""What tells that a file was written again."""

from __future__ import annotations

from pathlib import Path


def stamp(path: Path) -> tuple[int, int] | None:
    """Returns when a file was written and how long it is; None where there is none."""
    try:
        stat = path.stat()
    except (OSError, ValueError):  # a name that no system takes
        return None
    return stat.st_mtime_ns, stat.st_size
