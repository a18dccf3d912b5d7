"""Pieces of work done several at a time, each in a process of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from tunesmith.machine.signals import StopSignal
from tunesmith.trials.forked import LOOK_EVERY, End


class Going(Protocol):
    """A piece that has begun."""

    def end(self) -> End | None:
        """Returns how it ended; None while it runs."""
        ...

    def stop(self) -> None:
        """Tells it to save and leave; may be called often."""
        ...


class Ended:
    """A piece that was over when it began."""

    def __init__(self, end: End) -> None:
        self._end = end

    def end(self) -> End:
        """Returns how it ended."""
        return self._end

    def stop(self) -> None:
        """Does nothing."""


def together(
    begin: Sequence[Callable[[], Going]],
    at_once: int,
    heard: StopSignal,
    ended: Callable[[int, End], None],
) -> End | None:
    """Begins the pieces in their order, ``at_once`` at a time, and calls ``ended`` with the number
    of each that is over.

    A piece that fails stops no other. A signal, a full disk and a piece that was stopped from
    outside stop all; then their end is returned, and None where all pieces are over.
    """
    waiting = deque(enumerate(begin))
    going = dict[int, Going]()
    stopped: End | None = None
    try:
        while waiting or going:
            if heard.received and stopped is None:
                stopped = End("stopped")
            while waiting and len(going) < at_once and stopped is None:
                number, start = waiting.popleft()
                going[number] = start()
            if stopped is not None:
                waiting.clear()
                for piece in going.values():
                    piece.stop()
            for number, piece in list(going.items()):
                end = piece.end()
                if end is None:
                    continue
                del going[number]
                if end.kind == "disk" or (end.kind == "stopped" and stopped is None):
                    stopped = end
                ended(number, end)
            if going:
                time.sleep(LOOK_EVERY)
    finally:
        # Only where a listener has raised: no process is left behind that nobody waits for.
        while going:
            for number, piece in list(going.items()):
                piece.stop()
                if piece.end() is not None:
                    del going[number]
            time.sleep(LOOK_EVERY)
    return stopped
