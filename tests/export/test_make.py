"""What an export tells of its parts."""

from __future__ import annotations

import pytest

from tunesmith.export.make import _teller


@pytest.mark.parametrize("folds", [True, False])
def test_the_number_of_a_part_only_rises(folds: bool) -> None:
    told: list[tuple[str, int, int]] = []
    tell = _teller(folds, lambda *part: told.append(part))
    done = [
        part for part in ("load", "probe", "merge", "save", "verify") if folds or part != "merge"
    ]
    for part in done:
        tell(part)
    assert [(at, of) for _, at, of in told] == [(n, len(done)) for n in range(len(done))]
