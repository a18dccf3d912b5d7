"""Serves a page on 127.0.0.1 until it is interrupted."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.pages.guard import App, Guard
from tunesmith.words import say

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
LONGEST_HEAD = 4 << 20
"""Bytes of an address with its headers: more than a browser sends, so that what is too long is
answered in words."""


def require_pages() -> None:
    """Raises SpecError where the packages that serve pages are missing."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise SpecError(Problem("", say("pages.missing"))) from None


def serve(app: App, port: int, tell: Callable[[str], None]) -> None:
    """Serves ``app`` behind a guard, on a free port where ``port`` is 0, and tells the link (its
    address alone) first; returns once it was interrupted. Raises SpecError where the port is taken.
    """
    import uvicorn

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
        except OSError as error:
            text = say("pages.port_taken", port=port, reason=error.strerror)
            raise SpecError(Problem("--port", text)) from None
        bound.listen()  # who opens the link at once waits, and is not refused
        port = bound.getsockname()[1]
        token = secrets.token_urlsafe(24)
        config = uvicorn.Config(
            Guard(app, token, port),
            log_level="warning",
            lifespan="off",
            http="h11",
            h11_max_incomplete_event_size=LONGEST_HEAD,
        )
        server = uvicorn.Server(config)
        tell(f"http://{HOST}:{port}/?token={token}")
        _run(server, bound)


def _run(server: uvicorn.Server, bound: socket.socket) -> None:
    try:
        server.run(sockets=[bound])
    except KeyboardInterrupt:  # raised again once the last reply was sent
        return
