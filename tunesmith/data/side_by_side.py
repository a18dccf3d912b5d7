"""Work on rows by several processes, given back in the rows' order.

They are forked from this one, so that a tokenizer and what the objective learned are there without
being sent; where forking is not safe, or there is one core, this process does all.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

ALONE = 1000
"""The first rows are worked on here: most files have no more, and a fork of a process with a model
costs a moment.
"""
EACH, AHEAD, MOST = 100, 4, 8
"""Rows that are handed over together, parcels that wait for each process, and the most processes:
what reads the rows keeps no more of them busy.
"""
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""

Given = TypeVar("Given")
Part = TypeVar("Part")
Made = TypeVar("Made")

_work: Callable[[object], object]
"""What a forked process does; set there alone."""


def side_by_side(
    rows: Iterator[Given],
    part: Callable[[Given], Part],
    work: Callable[[Part], Made],
    *,
    alone: bool = False,
    begin: Callable[[], None] | None = None,
) -> Iterator[tuple[Given, Made]]:
    """Yields every row with what ``work`` makes of its ``part``, the only thing that travels. What
    ``work`` changes in this process' objects may be lost, so what it makes must hold all; where it
    cannot, this process is ``alone``. Each further process calls ``begin`` before its first row.
    """
    for row in islice(rows, ALONE):
        yield row, work(part(row))
    count = 1 if alone else processes()
    first = next(rows, None) if count > 1 else None
    if first is None:
        for row in rows:
            yield row, work(part(row))
        return
    parcel = [first, *islice(rows, EACH - 1)]
    waiting: deque[tuple[list[Given], Future[list[Made]] | None]] = deque()
    with _forked(work, begin, count) as pool:
        while parcel or waiting:
            while parcel and len(waiting) < AHEAD * count:
                waiting.append((parcel, _handed(pool, [part(row) for row in parcel])))
                parcel = list(islice(rows, EACH))
            given, future = waiting.popleft()
            made = _made(future)
            if made is None:
                made = [work(part(row)) for row in given]
            yield from zip(given, made, strict=True)


def _handed(pool: ProcessPoolExecutor, parts: list[Part]) -> Future[list[Any]] | None:
    """Hands parts over; None where a process was killed, as for memory: then this one goes on."""
    from concurrent.futures import BrokenExecutor

    try:
        return pool.submit(_each, [*parts])
    except BrokenExecutor:
        return None


def _made(future: Future[list[Made]] | None) -> list[Made] | None:
    from concurrent.futures import BrokenExecutor

    try:
        return future.result() if future is not None else None
    except BrokenExecutor:
        return None


def processes() -> int:
    """Returns how many processes work on rows; 1 where this one does it alone."""
    if sys.platform != "linux":
        return 1
    return min(len(os.sched_getaffinity(0)), MOST)


@contextmanager
def _forked(
    work: Callable[[Part], Made], begin: Callable[[], None] | None, count: int
) -> Iterator[ProcessPoolExecutor]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # A tokenizer's own threads do not outlive a fork: without this it says so, or waits for them.
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    first: Any = (work, begin, os.getpid())
    pool = ProcessPoolExecutor(count, get_context("fork"), _begin, first)
    try:
        yield pool
    finally:
        if before is None:
            os.environ.pop("TOKENIZERS_PARALLELISM", None)
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(work: Callable[[object], object], begin: Callable[[], None] | None, parent: int) -> None:
    """Prepares a forked process: a signal to all is the parent's to answer, it ends with its
    parent, and what it shares with it stays shared.
    """
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be asked to tell
        os._exit(1)
    # A collection writes to every object that it looks at, which would copy the parent's memory.
    gc.freeze()
    if begin is not None:
        begin()


def _each(parts: list[object]) -> list[object]:
    return [_work(part) for part in parts]
