"""Several pieces at a time: how many, in which order, and what stops them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tunesmith.errors import DiskError, TrainingError
from tunesmith.machine.signals import StopSignal
from tunesmith.trials import together as module
from tunesmith.trials.forked import End, Forked, Kind
from tunesmith.trials.together import Going, together


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of tests are not waited for."""
    monkeypatch.setattr(module, "LOOK_EVERY", 0.0)


@dataclass
class Pieces:
    """Pieces that end after some looks, as ``kinds`` says; those that are stopped end so."""

    kinds: list[Kind]
    looks: list[int]
    going: set[int] = field(default_factory=set)
    most: int = 0
    begun: list[int] = field(default_factory=list)
    ended: list[tuple[int, Kind]] = field(default_factory=list)

    def begin(self, number: int) -> Going:
        self.begun.append(number)
        self.going.add(number)
        self.most = max(self.most, len(self.going))
        return _Piece(self, number)

    def run(self, workers: int, heard: StopSignal | None = None) -> End | None:
        begin = [partial(self.begin, number) for number in range(len(self.kinds))]
        return together(begin, workers, heard or StopSignal(), self.over)

    def over(self, number: int, end: End) -> None:
        self.ended.append((number, end.kind))


@dataclass
class _Piece:
    pieces: Pieces
    number: int
    stopped: bool = False

    def end(self) -> End | None:
        self.pieces.looks[self.number] -= 1
        if not self.stopped and self.pieces.looks[self.number] > 0:
            return None
        self.pieces.going.remove(self.number)
        return End("stopped" if self.stopped else self.pieces.kinds[self.number], "why")

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
def test_so_many_at_a_time_begin_in_order_and_a_failure_stops_no_other(workers: int) -> None:
    pieces = Pieces(["done", "failed", "done", "done", "failed"], [5, 1, 3, 2, 2])
    assert pieces.run(workers) is None
    assert pieces.begun == [0, 1, 2, 3, 4] and pieces.most == min(workers, 5)
    assert sorted(pieces.ended) == list(enumerate(pieces.kinds))


@pytest.mark.parametrize("kind", ["disk", "stopped"])
def test_a_full_disk_and_a_piece_stopped_from_outside_stop_all(kind: Kind) -> None:
    pieces = Pieces(["done", kind, "done", "done"], [99, 2, 1, 1])
    end = pieces.run(2)
    assert end is not None and (end.kind, end.reason) == (kind, "why")
    assert pieces.begun == [0, 1] and pieces.ended == [(1, kind), (0, "stopped")]


def test_a_signal_stops_those_that_run_and_begins_no_more() -> None:
    pieces, heard = Pieces(["done"] * 4, [1, 99, 1, 1]), StopSignal()
    ended = pieces.over

    def signalled(number: int, end: End) -> None:
        heard.received = "SIGTERM"
        ended(number, end)

    pieces.over = signalled  # type: ignore[method-assign]
    end = pieces.run(2, heard)
    assert end is not None and end.kind == "stopped"
    assert pieces.begun == [0, 1] and pieces.ended == [(0, "done"), (1, "stopped")]


def test_what_a_listener_raises_leaves_no_piece_behind() -> None:
    pieces = Pieces(["done"] * 3, [1, 99, 99])

    def raises(number: int, end: End) -> None:
        raise RuntimeError("a listener's own fault")

    pieces.over = raises  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="own fault"):
        pieces.run(3)
    assert not pieces.going


def test_processes_end_as_their_work_does(tmp_path: Path) -> None:
    def fails(error: Exception) -> None:
        raise error

    works: list[Callable[[], None]] = [
        lambda: (tmp_path / "written").touch(),
        partial(fails, TrainingError("the loss is no number")),
        partial(fails, DiskError("full")),
        lambda: os._exit(9),
        lambda: time.sleep(60),
    ]
    pieces = [Forked(work, tmp_path / f"{n}.json") for n, work in enumerate(works)]
    ends: list[End | None] = [None] * 5
    until = time.monotonic() + 50
    while None in ends[:4] and time.monotonic() < until:
        ends = [end or piece.end() for end, piece in zip(ends, pieces, strict=True)]
        time.sleep(0.01)
    assert [end.kind for end in ends[:4] if end] == ["done", "failed", "disk", "failed"]
    assert (tmp_path / "written").is_file() and ends[1] == End("failed", "the loss is no number")
    assert ends[3] is not None and "9" in ends[3].reason and ends[4] is None
    while ends[4] is None and time.monotonic() < until:
        pieces[4].stop()
        ends[4] = pieces[4].end()
    assert ends[4] is not None and ends[4].kind == "stopped"
