"""One piece of work in a process of its own, forked from one that has the base and the rows in
memory.

So its peak memory is its own, and what kills it leaves the others alive. Where forking is not
safe, beside a GPU or outside Linux, the piece runs in this process.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from tunesmith.errors import DiskError, Stopped, TunesmithError
from tunesmith.machine.device import Device
from tunesmith.machine.signals import StopSignal
from tunesmith.trials.files import got, put
from tunesmith.words import say

Kind = Literal["done", "stopped", "disk", "failed"]
CODES: dict[Kind, int] = {
    "done": 0,
    "stopped": Stopped.exit_code,
    "disk": DiskError.exit_code,
    "failed": 1,
}
LOOK_EVERY = 0.05
PATIENCE = 60.0
"""Seconds that a piece has to save after a signal, before it is told to leave at once."""
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


@dataclass(frozen=True)
class End:
    """How a piece ended, and why where it did not end well."""

    kind: Kind
    reason: str = ""


class _Ending:
    """Context that takes whatever ends a piece and notes it in a file: one method's fault must not
    end the others.
    """

    def __init__(self, told: Path) -> None:
        self.told = told
        self.kind: Kind = "done"

    def __enter__(self) -> _Ending:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None:
            self.kind = "stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed"
            self.kind = "disk" if isinstance(error, DiskError) else self.kind
            lines = [] if isinstance(error, TunesmithError) else traceback.format_exception(error)
            put(self.told, {"reason": reason_of(error), "traceback": lines})
        return True


def reason_of(error: BaseException) -> str:
    """Returns the reason why a piece failed, in one line."""
    text = str(error).strip()
    first = text.split("\n")[0][:300]
    if (
        isinstance(error, MemoryError)
        or "allocate memory" in text
        or "not enough memory" in text
        or "out of memory" in text
    ):
        return say("trainings.out_of_memory", error=first or "-")
    return text if isinstance(error, TunesmithError) else f"{type(error).__name__}: {first}"


def can_fork(device: Device) -> bool:
    """Tells whether a piece may run in a forked process: a GPU's context does not survive it, nor
    do the system libraries of macOS.
    """
    return sys.platform == "linux" and device.place.type == "cpu"


def apart(work: Callable[[], None], told: Path, heard: StopSignal, *, fork: bool) -> End:
    """Runs ``work`` to its end; ``told`` is where a failure is noted, ``heard`` the signals, which
    are handed on.
    """
    if not fork:
        return here(work, told)
    piece = Forked(work, told)
    while (end := piece.end()) is None:
        if heard.received:
            piece.stop()
        time.sleep(LOOK_EVERY)
    return end


def here(work: Callable[[], None], told: Path) -> End:
    """Runs ``work`` in this process; ``told`` is where a failure is noted."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    ending = _Ending(told)
    with ending:
        work()
    return End(ending.kind, "" if ending.kind == "done" else got(told)["reason"])


class Forked:
    """A piece that runs in a process forked from this one."""

    def __init__(self, work: Callable[[], None], told: Path) -> None:
        self.told = told
        self._handed_on: float | None = None
        # What is still in a buffer would be written twice, by both processes.
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            _child(work, told, parent)

    def end(self) -> End | None:
        """Returns how it ended; None while it runs."""
        done, status = os.waitpid(self._child, os.WNOHANG)
        if not done:
            return None
        code = os.waitstatus_to_exitcode(status)
        kinds: dict[int, Kind] = {code_of_kind: kind for kind, code_of_kind in CODES.items()}
        kind = kinds.get(code, "failed")
        if kind == "failed" and not self.told.is_file():
            put(self.told, {"reason": say("trainings.killed", code=code), "traceback": []})
        return End(kind, "" if kind == "done" else (got(self.told) or {"reason": ""})["reason"])

    def stop(self) -> None:
        """Tells it to save and leave, and a minute later to leave at once; may be called often."""
        now = time.monotonic()
        if self._handed_on is None or now - self._handed_on > PATIENCE:
            os.kill(self._child, signal.SIGTERM)
            self._handed_on = now


def _child(work: Callable[[], None], told: Path, parent: int) -> None:
    """Runs the work in the forked process and exits; never returns."""
    ending = _Ending(told)
    code = 1
    try:
        # In a group of its own, so that Ctrl-C reaches it once, by way of the parent; and never
        # without a parent.
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        # Where nothing is being trained there is nothing to save; a training puts its own handler
        # over this one.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(CODES["stopped"]))
        # Had the parent ended before prctl, nothing would ever end this process.
        if os.getppid() == parent:
            with ending:
                work()
            code = CODES[ending.kind]
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
