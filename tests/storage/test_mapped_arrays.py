"""Arrays that are put aside in a file: the same values, whatever room there is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tunesmith.storage import mapped_arrays
from tunesmith.storage.mapped_arrays import MappedArrays

linux = pytest.mark.skipif(sys.platform != "linux", reason="arrays are put aside on Linux alone")


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, and the least sizes: nothing stays in memory, parts of 4 KiB."""
    monkeypatch.setattr(mapped_arrays, "prepared_folder", lambda: tmp_path / "prepared")
    monkeypatch.setattr(mapped_arrays, "IN_MEMORY", 0)
    monkeypatch.setattr(mapped_arrays, "FIRST", 4096)
    return tmp_path / "prepared"


def drawn() -> list[np.ndarray]:
    """Arrays of all the types that rows hold, some of odd sizes, one larger than any part."""
    draw = np.random.default_rng(0)
    sizes = [1, 3, 500, 0, 1023, 7, 40_000, 2]
    kinds = [np.int32, np.float32, np.uint32, np.int8]
    return [draw.integers(0, 100, size).astype(kind) for size in sizes for kind in kinds] + [
        draw.integers(0, 9, (5, 3))
    ]


def backing(array: np.ndarray) -> str:
    """Names the type of what owns the array's memory."""
    owner: object = array
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    return type(owner).__name__


@linux
def test_kept_arrays_are_equal_before_and_after_their_memory_is_given_back() -> None:
    arrays = MappedArrays()
    given = drawn()
    kept = [arrays.keep(array) for array in given]
    for _ in range(2):
        for one, other in zip(given, kept, strict=True):
            assert one.dtype == other.dtype and one.shape == other.shape
            np.testing.assert_array_equal(one, other)
        arrays.rest()
    assert {backing(array) for array in kept if array.size} == {"memoryview"}


@linux
def test_arrays_outlive_what_kept_them() -> None:
    arrays = MappedArrays()
    given = drawn()
    kept = [arrays.keep(array) for array in given]
    del arrays
    for one, other in zip(given, kept, strict=True):
        np.testing.assert_array_equal(one, other)


@linux
def test_the_file_has_no_name_that_could_be_left_behind(small: Path) -> None:
    arrays = MappedArrays()
    kept = [arrays.keep(array) for array in drawn()]
    assert kept and list(small.iterdir()) == []


@linux
def test_a_full_disk_leaves_arrays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def full(descriptor: int, start: int, length: int) -> None:
        calls.append(length)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")

    arrays = MappedArrays()
    first = arrays.keep(np.arange(4))
    assert backing(first) == "memoryview"
    monkeypatch.setattr(os, "posix_fallocate", full)
    calls.append(0)
    given = [np.arange(n) for n in range(1000, 1010)]
    kept = [arrays.keep(array) for array in given]
    assert [array is one for array, one in zip(kept, given, strict=True)] == [True] * 10
    assert len(calls) == 2, "asked once, not for every row"
    np.testing.assert_array_equal(first, np.arange(4))


@linux
def test_a_folder_that_cannot_be_made_leaves_arrays_in_memory(small: Path) -> None:
    small.write_text("a file where the folder should be", encoding="utf-8")
    array = np.arange(9)
    assert MappedArrays().keep(array) is array


def test_few_arrays_stay_as_they_are(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_arrays, "IN_MEMORY", 1 << 20)
    given = drawn()
    arrays = MappedArrays()
    assert all(arrays.keep(array) is array for array in given)
    assert not small.exists()
