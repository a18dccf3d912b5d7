"""Energy, where the machine counts it: the processor's packages by Linux' RAPL, a GPU by NVIDIA's
driver.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RAPL = Path("/sys/class/powercap")
PACKAGE = re.compile(r"intel-rapl:\d+")
"""A package; its parts (``intel-rapl:0:0``) are counted in it. AMD's have the same name."""


@dataclass
class Counter:
    """A count of joules that only grows, but begins again at ``most``, where it has one."""

    read: Callable[[], float]
    most: float | None = None
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.last = self.read()

    def since(self) -> float:
        """Returns the joules since the last call."""
        now = self.read()
        spent, self.last = now - self.last, now
        return spent + self.most if spent < 0 and self.most is not None else max(spent, 0.0)


@dataclass
class Meter:
    """The counters of a device."""

    counters: Sequence[Counter] = ()

    def spent(self) -> float | None:
        """Returns the joules since the last call; None where the machine does not count them."""
        return sum(counter.since() for counter in self.counters) if self.counters else None


def meter(gpu: int | None, *, packages: bool = True, rapl: Path = RAPL) -> Meter:
    """Opens the counters that this process may read: those of the processor, where it counts the
    ``packages``, and that of its GPU by number.
    """
    counters = _packages(rapl) if packages else []
    if gpu is not None:
        counters += _gpu(gpu)
    return Meter(counters)


def _packages(rapl: Path) -> list[Counter]:
    counters = []
    places = sorted(rapl.iterdir()) if rapl.is_dir() else []
    for package in places:
        if PACKAGE.fullmatch(package.name):
            try:
                most = _joules(package / "max_energy_range_uj")
                counters.append(Counter(lambda file=package / "energy_uj": _joules(file), most))
            except (OSError, ValueError):  # only an administrator may read it
                continue
    return counters


def _joules(file: Path) -> float:
    return int(file.read_text(encoding="ascii")) / 1e6


def _gpu(number: int) -> list[Counter]:
    """Opens NVML's count of a GPU; nothing where the driver, or the GPU, has none."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(handle)):
        return []

    def read() -> float:
        if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            raise OSError
        return millijoules.value / 1e3

    try:
        return [Counter(read)]
    except OSError:
        return []
