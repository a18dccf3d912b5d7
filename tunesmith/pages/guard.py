"""Who may see a local page: a browser that was given the link, and no page of another site.

The link's token becomes a cookie that other sites cannot send. ``Host`` is checked because a name
of another site can be made to point at this machine (DNS rebinding), ``Origin`` because a form
there could be sent here, ``Sec-Fetch-Site`` because a browser sends the cookie with what pages of
other ports of this machine ask for.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from tunesmith.words import say

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    # With no-referrer a browser would send its forms with "Origin: null".
    "referrer-policy": "same-origin",
}


ELSEWHERE = ("cross-site", "same-site")
"""What a browser calls a request that began on a page of another server; the second is that of
another port of this machine."""


class Guard:
    """An ASGI application before another one, on a port of 127.0.0.1."""

    def __init__(self, app: App, token: str, port: int) -> None:
        self.app, self.token, self.cookie = app, token, f"tunesmith_{port}"
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it with 403."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        given = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        origin = given.get("origin")
        if given.get("host") not in self.hosts or (
            origin is not None and origin.removeprefix("http://") != given["host"]
        ):
            await _reply(send, 403, {}, say("pages.other_site"))
        elif self._right(asked.pop("token", "")) and scope["method"] == "GET":
            # One slash: with two a browser would take the path for another site.
            path = "/" + quote(scope["path"].lstrip("/"))
            target = path + (f"?{urlencode(asked)}" if asked else "")
            cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            await _opened(send, target, cookie, given.get("sec-fetch-site", ""))
        elif given.get("sec-fetch-site") in ELSEWHERE:
            await _reply(send, 403, {}, say("pages.other_site"))
        elif self._right(self._held(given.get("cookie", ""))):
            await self.app(scope, receive, _guarded(send))
        else:
            await _reply(send, 403, {}, say("pages.no_token"))

    def _right(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self.token.encode())

    def _held(self, header: str) -> str:
        """Returns the token of the cookie; empty where there is none."""
        try:
            morsel = SimpleCookie(header).get(self.cookie)
        except CookieError:
            return ""
        return morsel.value if morsel is not None else ""


def _guarded(send: Send) -> Send:
    """Returns ``send`` with the headers that every page has, where it has not one of its own."""
    every = {name.encode(): value.encode() for name, value in HEADERS.items()}

    async def with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            named = {name for name, _ in given}
            added = [(name, value) for name, value in every.items() if name not in named]
            message = {**message, "headers": [*given, *added]}
        await send(message)

    return with_headers


async def _opened(send: Send, place: str, cookie: str, came_from: str) -> None:
    """Goes on to the page without the token. Where the link was pressed on a page of another
    server, as in a terminal that is one, a redirect would still be a request of that page; what
    this page itself goes on to is its own.
    """
    if came_from in ELSEWHERE:
        onward = {"refresh": f"0; url={place}", "set-cookie": cookie}
        await _reply(send, 200, onward, say("pages.opening"))
    else:
        await _reply(send, 303, {"location": place, "set-cookie": cookie}, "")


async def _reply(send: Send, status: int, headers: dict[str, str], text: str) -> None:
    every = {"content-type": "text/plain; charset=utf-8", **HEADERS, **headers}
    header_lines = [(name.encode(), value.encode("utf-8")) for name, value in every.items()]
    await send({"type": "http.response.start", "status": status, "headers": header_lines})
    await send({"type": "http.response.body", "body": text.encode("utf-8")})
