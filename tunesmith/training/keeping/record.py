"""record.jsonl: one JSON object for each step and for each other event that is recorded."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from tunesmith.events.stream import Event, Line

# Windows would translate line ends.
BINARY: int = os.O_BINARY if sys.platform == "win32" else 0


class Record:
    """Append-only and line-buffered; on resume the lines after the checkpoint are cut off. Without
    a path it writes nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._handle = (
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, 0o644)
            if path is not None
            else None
        )
        self._path = path
        self._waiting = b""

    def hear(self, event: Event) -> None:
        """Writes the event's line, where it has one."""
        line = event.line()
        if line is not None:
            self._waiting += json.dumps(line, ensure_ascii=False).encode() + b"\n"
            self._flush()

    def _flush(self) -> None:
        """Writes the waiting lines. A full disk does not end a run: what could not be written waits
        for the next line.
        """
        if self._handle is None:
            self._waiting = b""
        with suppress(OSError):
            while self._waiting and self._handle is not None:
                self._waiting = self._waiting[os.write(self._handle, self._waiting) :]

    def lines(self) -> list[Line]:
        """Returns all lines so far."""
        if self._path is None:
            return []
        return [
            json.loads(line)
            for line in (self._path.read_bytes() + self._waiting).split(b"\n")[:-1]
            if line
        ]

    def state(self) -> Line:
        """Returns the position in the file, after everything before it has reached the disk."""
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
        """Closes the file."""
        if self._handle is not None:
            os.close(self._handle)
