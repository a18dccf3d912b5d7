"""What stands before every route: who asks, from where, how much and how fast."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.serving.faults import Refused, too_busy
from tunesmith.serving.limits import Limits
from tunesmith.words import say

LOG = logging.getLogger("tunesmith.serve")
SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
ROUTES = ("chat/completions", "completions", "embeddings", "classify", "score", "models")


class Guard:
    """An app behind its checks: looks at Host, Origin and key, reads the body within its limits,
    bounds how many requests of a key are answered at once, and writes one line a request, without
    what it says.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[str],
        hosts: Sequence[str],
        limits: Limits,
        count: Callable[[str, int], None],
    ) -> None:
        self.app, self.limits, self.count = app, limits, count
        self.keys = [_digest(key.encode()) for key in keys]
        self.hosts = {host.lower() for host in hosts}
        self.in_flight: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        began, answer = time.monotonic(), _Answer(send)
        try:
            await self._guarded(scope, receive, answer)
        except Refused as refused:
            if not answer.status:
                response = JSONResponse(refused.to_json(), refused.status, refused.headers)
                await response(scope, receive, answer)
        except Exception as error:
            # Where it happened, not what was asked: the message of an error may quote the request.
            LOG.error("%s at %s", type(error).__name__, _place(error))
            if not answer.status:
                failed = Refused(500, say("serve.failed"))
                await JSONResponse(failed.to_json(), 500)(scope, receive, answer)
        finally:
            seconds = time.monotonic() - began
            route = _route(scope["path"])
            self.count(route, answer.status)
            LOG.info("%s %s %s %.3fs", scope["method"], route, answer.status or "gone", seconds)

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        headers = dict(scope["headers"])
        self._check_place(headers)
        key = self._key(headers.get(b"authorization", b""))
        if scope["method"] != "POST":
            await self.app(scope, receive, answer)
            return
        body = await self._body(headers, receive)
        if self.in_flight[key] >= self.limits.in_flight:
            raise too_busy()
        self.in_flight[key] += 1
        try:
            await self.app(scope, _replayed(body, receive), answer)
        finally:
            self.in_flight[key] -= 1

    def _check_place(self, headers: dict[bytes, bytes]) -> None:
        """Refuses names that are not this server's: a page of another one cannot ask in the name of
        the person who looks at it, even where its own name was made to point here.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if _name(f"//{host}") not in self.hosts:
            raise Refused(403, say("serve.host"), code="host")
        origin = headers.get(b"origin")
        if origin is not None and _name(origin.decode("latin-1")) not in self.hosts:
            raise Refused(403, say("serve.origin"), code="origin")

    def _key(self, header: bytes) -> int:
        """Returns the number of the request's key. Every key is compared, each in constant time."""
        scheme, _, credentials = header.partition(b" ")
        digest = _digest(credentials.strip() if scheme.lower() == b"bearer" else b"")
        same = [hmac.compare_digest(digest, key) for key in self.keys]
        if True not in same:
            headers = {"www-authenticate": "Bearer"}
            raise Refused(401, say("serve.key"), code="invalid_api_key", headers=headers)
        return same.index(True)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        most = self.limits.body
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            raise _too_long(most)
        try:
            return await asyncio.wait_for(_whole(receive, most), self.limits.body_seconds)
        except asyncio.TimeoutError:
            raise Refused(408, say("serve.slow"), headers={"connection": "close"}) from None


class _Answer:
    """The way to the client: adds safe headers, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self.send, self.status = send, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *SAFE]
        await self.send(message)


async def _whole(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(408, say("serve.slow"))
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_long(most)
        if not message.get("more_body"):
            return bytes(body)


def _too_long(most: int) -> Refused:
    # What is still on its way would be read as the next request.
    return Refused(413, say("serve.body", most=most), headers={"connection": "close"})


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Returns a ``receive`` that gives the body, then what the client does."""
    body_given = False

    async def replay() -> Message:
        nonlocal body_given
        if body_given:
            return await receive()
        body_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _digest(key: bytes) -> bytes:
    """Returns a text of one length for every key."""
    return hashlib.sha256(key).digest()


def _name(address: str) -> str:
    """Returns the host of an address, without its port; empty where it is none."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _route(path: str) -> str:
    """Returns one of a few routes: a client cannot fill the log and the metrics with names."""
    routes = {f"/v1/{name}" for name in ROUTES} | {"/health", "/metrics"}
    return path if path in routes else "other"


def _place(error: BaseException) -> str:
    last: Any = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last is not None else "?"
