"""Measures memory: of the machine, of its control group, of the device."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GIB = 2**30


def free_memory(place: torch.device) -> float:
    """Returns how many bytes may still be used: on the GPU, or of this machine within its control
    group, of which each of the run's processes here has its part.
    """
    if place.type == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(place)[0])
    _, free = total_and_free()
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return (free if free is not None else 4.0 * GIB) / sharing


def total_and_free() -> tuple[float | None, float | None]:
    """Returns the bytes of main memory, all and those that may still be used, with a control
    group's limit; None where the system does not tell.
    """
    total, free = _of_machine()
    limit, left = _of_control_group()
    return _least(total, limit), _least(free, left)


def _of_machine() -> tuple[float | None, float | None]:
    """Returns total and available bytes; macOS gives only the total, and half of it is taken as
    free.
    """
    table = Path("/proc/meminfo")
    if table.is_file():
        sizes = dict(re.findall(r"(\w+):\s+(\d+) kB", table.read_text(encoding="ascii")))
        available = sizes.get("MemAvailable", sizes["MemFree"])
        return float(sizes["MemTotal"]) * 1024, float(available) * 1024
    if sys.platform == "darwin":
        total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        return total, total / 2
    return None, None


def _of_control_group() -> tuple[float | None, float | None]:
    """Returns the limit of this process's control group and what is left of it; None without a
    limit.
    """
    limit = Path("/sys/fs/cgroup/memory.max")
    used = Path("/sys/fs/cgroup/memory.current")
    if not (limit.is_file() and used.is_file()) or limit.read_text().strip() == "max":
        return None, None
    most = float(limit.read_text())
    return most, most - float(used.read_text())


def _least(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def run_command(command: list[str]) -> str | None:
    """Runs a program and returns what it prints; None where it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=15, errors="replace", check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
