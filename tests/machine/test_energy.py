"""Energy is what the machine's counters say, and nothing where it has none."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tunesmith.machine import energy
from tunesmith.machine.energy import meter


def package(rapl: Path, name: str, joules: float, most: float = 1000.0) -> Path:
    place = rapl / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "energy_uj").write_text(f"{joules * 1e6:.0f}\n")
    (place / "max_energy_range_uj").write_text(f"{most * 1e6:.0f}\n")
    return place


def test_packages_are_added_up_and_their_parts_are_not_counted_twice(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", 100)
    package(tmp_path, "intel-rapl:0:0", 40)
    package(tmp_path, "intel-rapl:1", 990)
    found = meter(None, rapl=tmp_path)
    package(tmp_path, "intel-rapl:0", 107.5)
    package(tmp_path, "intel-rapl:0:0", 45)
    package(tmp_path, "intel-rapl:1", 5)  # it began again at 1000
    assert found.spent() == pytest.approx(7.5 + 15)
    assert found.spent() == 0.0


def test_a_machine_without_counters_says_nothing(tmp_path: Path) -> None:
    assert meter(None, rapl=tmp_path / "absent").spent() is None
    (package(tmp_path, "intel-rapl:0", 1) / "energy_uj").write_text("")  # as one barred from it
    assert meter(None, rapl=tmp_path).spent() is None
    assert meter(None, packages=False, rapl=tmp_path).spent() is None


class Driver:
    """NVML as it is called, with a GPU that counts or does not."""

    def __init__(self, *, counts: bool) -> None:
        self.counts, self.total = counts, 5_000

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: int, handle: object) -> int:
        return 0 if number == 0 else 2

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object, total: object) -> int:
        ctypes.cast(total, ctypes.POINTER(ctypes.c_ulonglong))[0] = self.total  # type: ignore[arg-type]
        return 0 if self.counts else 3


def test_a_gpu_counts_millijoules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(counts=True)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    found = meter(0, rapl=tmp_path)
    driver.total = 7_250
    assert found.spent() == pytest.approx(2.25)
    assert meter(1, rapl=tmp_path).spent() is None
    driver.counts = False
    assert energy.meter(0, rapl=tmp_path).spent() is None
