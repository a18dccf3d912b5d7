"""What an export tells of its parts."""

from __future__ import annotations

import pytest

from tunesmith.export.make import _teller


@pytest.mark.parametrize("folds", [True, False])
@pytest.mark.parametrize("asks", [True, False])
def test_the_number_of_a_part_only_rises(folds: bool, asks: bool) -> None:
    told: list[tuple[str, int, int]] = []
    tell = _teller(folds, asks=asks, progress=lambda *part: told.append(part))
    parts = ["load", "merge", "ask", "save", "verify", "ask"]
    done = [part for part in parts if (folds or part != "merge") and (asks or part != "ask")]
    for part in done:
        tell(part)
    assert [(at, of) for _, at, of in told] == [(n, len(done)) for n in range(len(done))]


def test_rows_that_cannot_be_asked_leave_their_numbers_out() -> None:
    told: list[int] = []
    tell = _teller(True, asks=True, progress=lambda _, at, __: told.append(at))
    for part in ("load", "merge", "save", "verify"):
        tell(part)
    assert told == [0, 1, 3, 4]
