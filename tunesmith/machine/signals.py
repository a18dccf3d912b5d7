"""The first SIGTERM, SIGINT or SIGHUP sets a flag that the loop reads between steps; the second
leaves at once.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

# Windows has no SIGHUP; its console's Ctrl-Break arrives as SIGBREAK.
NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
RESUMABLE = 75  # EX_TEMPFAIL of sysexits.h: try again later


class StopSignal:
    """Context in which the first signal sets a flag; ``received`` is its name, or None.

    Outside the main thread Python cannot install handlers, and signals keep their usual meaning.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    @property
    def heard(self) -> bool:
        """Whether a first SIGTERM sets the flag now instead of ending the process."""
        return signal.SIGTERM in self._before

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            numbers = [
                number for name, number in signal.Signals.__members__.items() if name in NAMES
            ]
            # What is ignored stays ignored: nohup does that so that a closed terminal does not end
            # the run.
            heard = [
                number
                for number in numbers
                if signal.getsignal(number) not in (signal.SIG_IGN, None)
            ]
            self._before = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            # No clean-up: what is being written has not been committed, and the last checkpoint is
            # whole.
            os._exit(RESUMABLE)
        self.received = signal.Signals(number).name
