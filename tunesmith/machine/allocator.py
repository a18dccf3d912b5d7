"""The allocators: glibc's, told to keep what is freed, and CUDA's, told to grow its segments."""

from __future__ import annotations

import ctypes
import os
import sys

# malloc.h; "TRIM" is how much may lie free at the end of the heap, "MMAP" from where on a block is
# mapped by itself.
TRIM, MMAP = -1, -3
MOST = 2**31 - 1


def keep_freed() -> None:
    """Keeps freed blocks with the process, where the C library is glibc.

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


CUDA_SETTINGS = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""From torch 2.9, and before it; the newer still reads the older, with a warning."""


def grow_segments(newer: bool) -> None:
    """Lets CUDA's allocator grow the segments it has, unless the environment says how it is to be;
    to be called before CUDA starts.

    Rows of every length come, so blocks of fixed segments would fit ever less of them.
    """
    if sys.platform != "win32" and not any(name in os.environ for name in CUDA_SETTINGS):
        os.environ[CUDA_SETTINGS[0 if newer else 1]] = "expandable_segments:True"
