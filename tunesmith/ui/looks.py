"""Looks at what would run, one at a time, in a process beside the server: a large file does not
keep the pages waiting, and what the libraries hold of a GPU is given back when a run begins.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path

from tunesmith.errors import FAULTS, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.ui.look import Asked, look
from tunesmith.ui.stamps import stamp
from tunesmith.words import say

KEPT = 8
FRESH = 60
"""How long what was found is shown again (seconds); what is free of the machine changes."""


@dataclass
class _Look:
    future: Future[JsonObject]
    ended: float | None = None


class Looks:
    """What was asked for lately, and what is being looked at. ``make`` makes what runs it."""

    def __init__(self, make: Callable[[], Executor] | None = None) -> None:
        self._make = make or _beside
        self._runs: Executor | None = None
        self._looks: dict[object, _Look] = {}
        self._lock = threading.Lock()

    def at(self, asked: Asked, files: Sequence[str], patience: float) -> JsonObject | None:
        """Returns what is found, within some seconds; None where it is still being looked at. A
        file that was written again is looked at anew.
        """
        key = (asked, tuple(stamp(Path(file)) for file in files))
        held = self._held(key, asked)
        try:
            held.future.exception(patience)  # `wait` would not hear of a future that is cancelled
        except CancelledError:  # a run began meanwhile; who asks again is answered
            self._looks.pop(key, None)
            return None
        except NotYet:
            return None
        try:
            seen = held.future.result()
        except (*FAULTS, OSError, MemoryError, TunesmithError) as error:
            # What a library raised there ends one look, not the page.
            self._looks.pop(key, None)
            if isinstance(error, BrokenProcessPool):
                self.rest()
            text = say("ui_new.failed", error=f"{type(error).__name__}: {error}")
            return {"problems": [{"where": "", "text": text}], "objective": "", "words": []}
        held.ended = held.ended or time.monotonic()
        return seen

    def rest(self) -> None:
        """Ends the process beside the server; the next look begins another."""
        with self._lock:
            if self._runs is not None:
                self._runs.shutdown(wait=False, cancel_futures=True)
            self._runs, self._looks = None, {}

    def _held(self, key: object, asked: Asked) -> _Look:
        """Returns the look that is kept, or a new one."""
        with self._lock:
            held = self._looks.get(key)
            if held is None or (held.ended is not None and time.monotonic() - held.ended > FRESH):
                held = self._looks[key] = _Look(self._executor().submit(look, asked))
                for old in list(self._looks)[:-KEPT]:
                    self._looks.pop(old).future.cancel()
            return held

    def _executor(self) -> Executor:
        if self._runs is None:
            self._runs = self._make()
        return self._runs


def _beside() -> Executor:
    # A fork would take over the server's threads and sockets.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Ends this process with the server, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "it was begun by the server"

    def end() -> None:
        connection.wait([parent.sentinel])
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
