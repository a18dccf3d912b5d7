"""Arrays of many rows in an unnamed file of the cache folder, mapped into memory: where memory is
short, the system takes their pages back and reads them again when they are needed.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import IO

import numpy as np

from tunesmith.storage.cache import prepared_folder

FIRST, MOST = 1 << 20, 64 << 20
"""The first part of the file, and the largest (bytes); each is twice as large as the one before. A
mapped part holds a file descriptor, of which a process has about a thousand.
"""
IN_MEMORY = 8 << 20
"""So much stays in memory as it is (bytes): most sets of rows have no more."""
_ALIGNED = 8
"""Arrays begin at multiples of this (bytes), whatever their type."""


class MappedArrays:
    """Arrays in a file that nobody else sees, and that is gone with them.

    Without room for it, or on a system other than Linux, they stay in memory.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._parts: list[mmap.mmap] = []
        self._bytes = np.empty(0, np.uint8)
        """The last part as an array: what is kept in it are views of this one, which take 112 bytes
        each; from the part itself it would be five times as much.
        """
        self._ends = 0
        """Where the last part ends in the file (bytes)."""
        self._used = 0
        """How much of the last part is taken (bytes)."""
        self._in_memory = sys.platform != "linux"
        self._small = 0
        """What was left in memory before the first part (bytes)."""

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Returns an equal array of the same type in the file."""
        if self._in_memory or not array.size:
            return array
        if self._small < IN_MEMORY:
            self._small += array.nbytes
            return array
        if self._used + array.nbytes > len(self._bytes):
            self._open_part(array.nbytes)
            if self._in_memory:
                return array
        end = self._used + array.nbytes
        kept = self._bytes[self._used : end].view(array.dtype).reshape(array.shape)
        kept[...] = array
        self._used += -(-array.nbytes // _ALIGNED) * _ALIGNED
        return kept

    def rest(self) -> None:
        """Gives the memory of all arrays back; what is read of them comes from the file again."""
        for part in self._parts:
            part.madvise(mmap.MADV_DONTNEED)

    def _open_part(self, least: int) -> None:
        """Maps the next part of the file, of ``least`` bytes or more."""
        if self._parts:
            self._parts[-1].madvise(mmap.MADV_DONTNEED)
        wanted = max(least, min(FIRST << len(self._parts), MOST))
        length = -(-wanted // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        try:
            if self._file is None:
                prepared_folder().mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=prepared_folder())  # noqa: SIM115
            # Without blocks of its own a page could find the disk full when it is written, and the
            # process would end with SIGBUS.
            os.posix_fallocate(self._file.fileno(), self._ends, length)
            self._parts.append(mmap.mmap(self._file.fileno(), length, offset=self._ends))
        except (OSError, ValueError):
            self._in_memory = True
            return
        self._bytes = np.frombuffer(self._parts[-1], np.uint8)
        self._ends += length
        self._used = 0
