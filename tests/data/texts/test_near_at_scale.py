"""Runs that many rows share are found without sorting the runs of all rows: the same as by sorting
them.
"""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.data.texts import duplicates


def sketches(rows: int, shared_by: dict[int, int]) -> list[np.ndarray]:
    """Sketches of ``rows`` rows, of which ``shared_by[k]`` rows hold the hash k times 65 537."""
    draw = np.random.default_rng(rows)
    own = [set(draw.integers(0, 1 << 32, draw.integers(0, 60)).tolist()) for _ in range(rows)]
    for hashed, count in shared_by.items():
        for row in draw.permutation(rows)[:count]:
            own[row].add(hashed * 65_537)
    return [np.array(sorted(values), np.uint32) for values in own]


@pytest.mark.parametrize("rows", [3, 19, 200, 9000])
def test_common_runs_are_those_that_sorting_all_finds(rows: int) -> None:
    limit = max(duplicates.COMMON_ROWS, int(duplicates.COMMON * rows))
    wanted = {1: rows, 2: limit + 1, 3: limit, 65_535: limit + 2, 7: 1}
    given = sketches(rows, {key: min(count, rows) for key, count in wanted.items()})
    values, counts = np.unique(np.concatenate(given), return_counts=True)
    sorted_out = values[counts > max(duplicates.COMMON_ROWS, duplicates.COMMON * rows)]
    assert len(sorted_out) == (3 if rows > duplicates.COMMON_ROWS else 0)
    common = duplicates._common_runs(given)
    np.testing.assert_array_equal(common, sorted_out)
    for sketch in given[:300]:
        left = sketch[~np.isin(sketch, sorted_out)]
        np.testing.assert_array_equal(duplicates._without(sketch, common), left)


def test_rows_are_joined_where_all_pairs_compared_say_so() -> None:
    """Against every pair compared: sketches with 0.9 in common are joined, with 0.7 never."""
    draw = np.random.default_rng(5)
    given: list[np.ndarray] = []
    for _ in range(120):
        first = np.unique(draw.integers(0, 1 << 32, 200, dtype=np.uint32))
        given.append(first)
        for changed in (8, 20, 30, 60):  # Jaccard about 0.92, 0.82, 0.74 and 0.54
            places = draw.permutation(len(first))[changed:]
            new = draw.integers(0, 1 << 32, changed, dtype=np.uint32)
            given.append(np.unique(np.concatenate([first[places], new])))
    clusters = duplicates.Clusters(len(given))
    duplicates.join_near(clusters, given)
    compared = duplicates.Clusters(len(given))
    for other in range(len(given)):
        for before in range(other):
            shared = len(np.intersect1d(given[before], given[other]))
            if shared >= duplicates.THRESHOLD * (len(given[before]) + len(given[other]) - shared):
                compared.join(before, other)
    assert clusters.roots() == compared.roots()
    assert 120 < len(set(compared.roots())) < 480
