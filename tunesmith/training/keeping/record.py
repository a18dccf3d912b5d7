"""record.jsonl, one JSON object a step, and whoever else wants the numbers: trackers and the
caller's own function.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunesmith.training.trackers import Trackers

Line = dict[str, Any]

# Windows would translate line ends.
BINARY: int = os.O_BINARY if sys.platform == "win32" else 0


class Record:
    """Append-only and line-buffered; on resume the lines after the checkpoint are cut off.

    ``on_step`` gets the lines of the steps as they are written, not those of evaluations and
    events.
    """

    def __init__(
        self,
        path: Path | None,
        trackers: Trackers | None = None,
        on_step: Callable[[Line], None] | None = None,
    ) -> None:
        self.trackers = trackers or Trackers()
        self.on_step = on_step
        self._handle = (
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, 0o644)
            if path is not None
            else None
        )
        self._path = path
        self._waiting = b""

    def add(self, line: Line) -> None:
        """Writes one line; numbers that are not finite are written as text, because JSON has
        none.
        """
        line = {name: _plain(value) for name, value in line.items() if value is not None}
        self._waiting += json.dumps(line, ensure_ascii=False).encode() + b"\n"
        self._flush()
        numbers = {
            **line,
            **{f"held_out/{name}": value for name, value in line.get("evaluation", {}).items()},
        }
        numbers = {
            name: float(value)
            for name, value in numbers.items()
            if isinstance(value, int | float) and name != "step"
        }
        if numbers:
            self.trackers.log(numbers, line["step"])
        if self.on_step is not None and "loss" in line and "event" not in line:
            self.on_step(line)

    def _flush(self) -> None:
        """A full disk does not end a run: what could not be written waits for the next line."""
        if self._handle is None:
            self._waiting = b""
        with suppress(OSError):
            while self._waiting and self._handle is not None:
                self._waiting = self._waiting[os.write(self._handle, self._waiting) :]

    def lines(self) -> list[Line]:
        """All lines so far."""
        if self._path is None:
            return []
        return [
            json.loads(line)
            for line in (self._path.read_bytes() + self._waiting).split(b"\n")[:-1]
            if line
        ]

    def state(self) -> Line:
        """The cursor, after everything before it has reached the disk."""
        if self._handle is None:
            return {"bytes": 0}
        self._flush()
        with suppress(OSError):  # A disk that fails here fails the checkpoint too, which says so.
            os.fsync(self._handle)
        return {"bytes": os.fstat(self._handle).st_size}

    def load_state(self, state: Line) -> None:
        """Cuts off what was written after the cursor."""
        if self._handle is not None:
            os.ftruncate(self._handle, min(state["bytes"], os.fstat(self._handle).st_size))

    def close(self) -> None:
        """Closes the file and the trackers."""
        self.trackers.finish()
        if self._handle is not None:
            os.close(self._handle)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
