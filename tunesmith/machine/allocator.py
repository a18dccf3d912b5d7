"""The allocators: glibc's, told to keep what is freed and asked what it has handed out, and CUDA's,
told to grow its segments.
"""

from __future__ import annotations

import ctypes
import os
import sys

# malloc.h; "TRIM" is how much may lie free at the end of the heap, "MMAP" from where on a block is
# mapped by itself.
TRIM, MMAP = -1, -3
MOST = 2**31 - 1  # mallopt takes an int
COUNTED = ("arena", "ordblks", "smblks", "hblks", "hblkhd")
COUNTED += ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
"""The numbers of mallinfo2, in order; ``hblkhd`` and ``uordblks`` are the bytes in use."""


class _Counts(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in COUNTED)


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


def handed_out() -> float | None:
    """Returns the bytes that are in use of what malloc gave: tensors and large objects, not the
    small ones of Python; None where the C library is not glibc 2.33 or newer.

    What the process has resident does not tell, since freed blocks are kept.
    """
    if sys.platform != "linux":
        return None
    try:
        count = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return None
    count.restype = _Counts
    counts = count()
    return float(counts.hblkhd + counts.uordblks)


CUDA_SETTINGS = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""From torch 2.9, and before it; the newer still reads the older, with a warning."""


def grow_segments(newer: bool) -> None:
    """Lets CUDA's allocator grow the segments it has, unless the environment says how it is to be;
    to be called before CUDA starts.

    Rows of every length come, so blocks of fixed segments would fit ever less of them.
    """
    if sys.platform != "win32" and not any(name in os.environ for name in CUDA_SETTINGS):
        os.environ[CUDA_SETTINGS[0 if newer else 1]] = "expandable_segments:True"
