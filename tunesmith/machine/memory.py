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
    """Bytes that may still be used: on the GPU, or of this machine within its control group."""
    if place.type == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(place)[0])
    found = [_meminfo(), _cgroup()]
    known = [value for value in found if value is not None]
    return min(known) if known else 4.0 * GIB


def _meminfo() -> float | None:
    path = Path("/proc/meminfo")
    if path.is_file():
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        return float(lines["MemAvailable"].split()[0]) * 1024
    if sys.platform == "darwin":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    return None


def _cgroup() -> float | None:
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if not (limit.is_file() and used.is_file()) or limit.read_text().strip() == "max":
        return None
    return float(limit.read_text()) - float(used.read_text())


def total_and_free() -> tuple[float, float]:
    """Total and free memory in GiB, the container's limit counted; zeros where the system does not
    tell.
    """
    table = Path("/proc/meminfo")
    if table.is_file():
        found = dict(re.findall(r"(\w+):\s+(\d+) kB", table.read_text(encoding="ascii")))
        total, free = (
            int(found["MemTotal"]) / 2**20,
            int(found.get("MemAvailable", found["MemFree"])) / 2**20,
        )
        limit = Path("/sys/fs/cgroup/memory.max")
        text = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
        ceiling = int(text) / 2**30 if text.isdigit() else total
        return min(total, ceiling), min(free, ceiling)
    if sys.platform == "darwin":
        said = run_command(["sysctl", "-n", "hw.memsize"])
        total = int(said) / 2**30 if said else 0.0
        return total, total
    return 0.0, 0.0


def run_command(command: list[str]) -> str | None:
    """What a program prints; None where it is not there, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=15, errors="replace", check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
