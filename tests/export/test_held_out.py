"""An export tells how many held-out rows are answered while they are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from material.exported import asked
from material.proved import text_run
from tunesmith.export import held_out
from tunesmith.export.make import export
from tunesmith.storage.run_folder import RunFolder

__all__ = ["text_run"]


def test_the_rows_that_are_answered_are_counted(
    text_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "PIECE", 4)
    told: list[tuple[str, int, int]] = []
    export(text_run, tmp_path / "out", asked("items=6"), progress=lambda *one: told.append(one))
    rows = [(done, of) for stage, done, of in told if stage == "asking held-out rows"]
    once = [(0, 6), (4, 6), (6, 6)]
    assert rows == once + once, "of the trained model, then of what was written"
