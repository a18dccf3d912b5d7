"""How much of main memory a loaded model holds."""

from __future__ import annotations

import gc
import re
from pathlib import Path

from tunesmith.export.folders.files import WEIGHTS
from tunesmith.machine.allocator import handed_out

MAPS = Path("/proc/self/smaps")
MAPPED = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ +(/.*)$")


def held() -> int | None:
    """Counts the bytes that the process's models hold: what malloc gave, and the pages that were
    read of files of weights that are mapped; None where the system does not tell.

    What is resident of the whole process does not tell, since freed blocks are kept.
    """
    gc.collect()
    allocated = handed_out()
    if allocated is None or not MAPS.is_file():
        return None
    return round(allocated) + _mapped(MAPS.read_text(encoding="utf-8", errors="replace"))


def since(start: int | None) -> int | None:
    """Returns by how much it grew since ``start``."""
    now = held()
    return None if start is None or now is None else max(0, now - start)


def _mapped(maps: str) -> int:
    """Counts the resident bytes of the files of weights in a table of mappings."""
    total, counts = 0, False
    for line in maps.splitlines():
        # What is told of a mapping begins with a capital letter; the table has 40 000 lines.
        if not line[:1].isupper():
            mapping = MAPPED.match(line)
            counts = bool(mapping) and Path(mapping[1].removesuffix(" (deleted)")).suffix in WEIGHTS
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total
