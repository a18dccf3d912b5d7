"""glibc's allocator, told to keep what is freed."""

from __future__ import annotations

import ctypes
import sys

# malloc.h; "TRIM" is how much may lie free at the end of the heap, "MMAP" from where on a block is
# mapped by itself.
TRIM, MMAP = -1, -3
MOST = 2**31 - 1


def keep_freed() -> None:
    """Blocks that are freed stay with the process, where the C library is glibc.

    Large ones would go back to the system and be mapped and cleared anew, page by page, at every
    chunk of every step.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    for what in (MMAP, TRIM):
        mallopt(what, MOST)
