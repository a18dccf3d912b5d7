"""HTTP of uvicorn, with a limit on how long a request's head may take."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from tunesmith.serving.limits import Limits

SECONDS = Limits.head_seconds
UNREAD = Limits.unread_seconds


class Patient(H11Protocol):
    """A connection that is closed when its first request, or what follows a finished one, does not
    arrive in time, or whose client takes nothing of its answer; uvicorn alone waits for ever for a
    head that comes letter by letter, and for a client that does not read.
    """

    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(SECONDS, self._late)

    def data_received(self, data: bytes) -> None:
        """Ends the clock when a head is whole; starts it at the first byte of the next."""
        if self._timer is None and not self._answering:
            self._timer = self.loop.call_later(SECONDS, self._late)
        super().data_received(data)
        if self._answering:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the clocks."""
        self._stop()
        self._read_on()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Starts the clock of an answer that waits for its client."""
        super().pause_writing()
        # Not a close, which would wait for what is still to be sent.
        self._unread = self.loop.call_later(UNREAD, self.transport.abort)

    def resume_writing(self) -> None:
        """Ends it: the client has read on."""
        self._read_on()
        super().resume_writing()

    def _read_on(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if not self._answering:
            self.transport.close()
