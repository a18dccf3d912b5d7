"""What is told of a run on the way."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tunesmith import words
from tunesmith.display import progress
from tunesmith.events.stream import notice


def test_the_time_left_counts_what_this_process_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_chosen", "en")
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    shown = progress.Shown(Console(file=out, width=200))
    # Resumed after 14 of 30 steps; each takes 10 seconds.
    for step in range(15, 18):
        shown("training", step, 30)
        now[0] += 10
    told = out.getvalue().splitlines()
    assert [line.partition("30")[2].strip() for line in told] == ["", "140 s left", "130 s left"]


def test_an_open_display_shows_what_is_noticed_below_the_verbs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = io.StringIO()
    with progress.Shown(Console(file=out, width=200)):
        notice("fetching")
    notice("after")
    assert out.getvalue() == "fetching\n" and capsys.readouterr() == ("", "after\n")
