"""Several processes of one run on this machine, each with the variables that torchrun gives.

torchrun itself answers every failure with exit code 1, and kills whoever needs more than 30 seconds
to save; here a run's own exit codes come through, and a signal is handed on once.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tunesmith.machine.signals import NAMES
from tunesmith.words import say

LOOK_EVERY = 0.1
LEAVES_WITHIN = 30.0
"""Seconds that the others have to end by themselves once one has failed; they learn why from it."""


def started_by_another() -> bool:
    """Tells whether this process is one of those that torchrun, or ``run_ranks``, has started."""
    return "RANK" in os.environ


def machines() -> int:
    """Returns how many machines train one run together, this one among them (``run_ranks``)."""
    return int(os.environ.get("PET_NNODES", 1))


def run_ranks(count: int, command: Sequence[str]) -> int:
    """Runs ``command`` in ``count`` processes, of which the first prints, and returns its exit
    code; where it has none of its own, that of the one that failed first.

    Each takes the GPU of its number, or its share of the cores. An error of one is told by the
    first, too (``told_by_all``); where that could not tell it, what the other wrote is printed.

    On several machines each runs the same command, with what torchrun calls PET_NNODES,
    PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT in its environment.
    """
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as folder:
        logs = [Path(folder) / f"{rank}.txt" for rank in range(count)]
        ranks = _started(command, logs)
        with _handed_on(ranks):
            failed = _waited_for(ranks)
        code = ranks[0].returncode
        # The first process prints here itself; so nothing is said twice where that one failed.
        if failed and code <= 0:
            sys.stderr.write(logs[failed].read_text(encoding="utf-8", errors="replace"))
    if failed is not None and ranks[failed].returncode < 0:
        # One that a signal ends says nothing itself, and the others only that it has gone.
        by = -ranks[failed].returncode
        name = next(
            (ended_by.name for ended_by in signal.Signals if ended_by == by), f"signal {by}"
        )
        sys.stderr.write(say("train.process_killed", number=failed, signal=name) + "\n")
    if failed is None or code > 0:
        return code
    return _exit_code(ranks[failed].returncode)


def _started(command: Sequence[str], logs: Sequence[Path]) -> list[subprocess.Popen[bytes]]:
    count = len(logs)
    number = int(os.environ.get("PET_NODE_RANK", 0))
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    shared = {
        "WORLD_SIZE": str(machines() * count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": os.environ.get("PET_MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": os.environ.get("PET_MASTER_PORT") or str(_free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count))),
    }
    ranks = []
    for rank, log in enumerate(logs):
        output: IO[bytes] | None = log.open("wb") if rank else None
        ranks.append(
            subprocess.Popen(
                command,
                env=os.environ
                | shared
                | {"RANK": str(number * count + rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.DEVNULL if rank else None,
                stderr=output,
                # Ctrl-C reaches every process of a terminal; here it shall come once, through us.
                start_new_session=True,
            )
        )
        if output is not None:
            output.close()
    return ranks


def _waited_for(ranks: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Returns the number of the first process that failed once all have ended; None where none
    did.
    """
    failed = None
    until = float("inf")
    while any(rank.poll() is None for rank in ranks):
        if failed is None:
            failed = _failed(ranks)
            if failed is not None:
                until = time.monotonic() + LEAVES_WITHIN
        # One that waits for the sum of a process that has gone would wait for ever.
        if time.monotonic() > until:
            for rank in ranks:
                rank.kill()
        time.sleep(LOOK_EVERY)
    return _failed(ranks) if failed is None else failed


def _failed(ranks: Sequence[subprocess.Popen[bytes]]) -> int | None:
    return next((number for number, rank in enumerate(ranks) if rank.poll()), None)


@contextmanager
def _handed_on(ranks: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Hands every signal that stops a run on to its processes."""

    def hand_on(number: int, frame: object) -> None:
        for rank in ranks:
            if rank.poll() is None:
                rank.send_signal(number)

    numbers = [number for name, number in signal.Signals.__members__.items() if name in NAMES]
    # Handlers are put back, because a caller such as a test goes on after its run.
    before = {number: signal.signal(number, hand_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_code(code: int) -> int:
    """Returns what a shell would say of a process that a signal has ended (−9: 137)."""
    return code if code >= 0 else 128 - code  # POSIX shells add 128 to the signal


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
