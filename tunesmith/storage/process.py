"""The process that trains in a run's folder: who it is, and how another asks it to stop and keep.

Its name stands in the folder only while a first SIGTERM is heard there (``StopSignal``) and only
while the folder is locked, so that no other process can be meant.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tunesmith.storage.atomic import write_whole

NAME = ".process.json"


@dataclass(frozen=True)
class Process:
    """A process of this or another machine; ``began`` tells it from a later one of its number,
    where the system says that. ``asked`` once it was asked to stop.
    """

    pid: int
    host: str
    began: str
    asked: bool = False


@contextmanager
def named_in(folder: Path) -> Iterator[None]:
    """Names this process in the run's folder while it trains there."""
    path = folder / NAME
    this = Process(os.getpid(), socket.gethostname(), _began(os.getpid()))
    # A full disk ends no run; this one is then stopped from its own terminal alone.
    with suppress(OSError):
        write_whole(path, json.dumps(asdict(this)))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def process_of(folder: Path) -> Process | None:
    """Returns the process that trains in the folder, where it lives on this machine and can be
    asked to stop. Whether the folder is locked is the caller's to ask.
    """
    if sys.platform == "win32":  # a signal there ends a process at once, and nothing is kept
        return None
    try:
        process = Process(**json.loads((folder / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    here = process.host == socket.gethostname() and _began(process.pid) == process.began
    return process if here else None


def ask_to_stop(folder: Path) -> bool:
    """Sends the first SIGTERM, after which the run saves and ends; tells whether it was sent. A
    second one would end it with nothing saved, so it is never sent.
    """
    with _one_asks(folder):
        process = process_of(folder)
        if process is None or process.asked:
            return False
        write_whole(folder / NAME, json.dumps(asdict(replace(process, asked=True))))
        try:
            os.kill(process.pid, signal.SIGTERM)
        except OSError:  # it ended just now, or is another user's
            return False
        return True


@contextmanager
def _one_asks(folder: Path) -> Iterator[None]:
    """Lets those who ask at once do so one after the other, from whatever process; the name is read
    again behind it, for it is another file once somebody has asked.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        file = (folder / NAME).open("rb")
    except OSError:  # nobody is named there
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_held(lock: Path) -> bool:
    """Tells whether a process holds the lock. Those who look do not disturb each other: two pages
    that ask at once would else take each other for a run.
    """
    if sys.platform == "win32":
        from filelock import FileLock, Timeout

        try:
            with FileLock(lock).acquire(timeout=0):
                return False
        except Timeout:
            return True
    import fcntl

    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _began(pid: int) -> str:
    """Returns when the process began, in the system's own words; empty where it does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]  # field 22 of proc(5), after the command's name
