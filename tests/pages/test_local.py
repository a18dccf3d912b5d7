"""The server of local pages answers what it is asked, however long the address is."""

from __future__ import annotations

import http.client
import queue
import threading
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="pip install 'tunesmith[serve]'")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tunesmith.pages.local import serve


def told(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(request.url.query)))


def test_an_address_of_a_megabyte_reaches_the_page() -> None:
    """Else a browser says that there is no such site, and not that too much was typed."""
    links: queue.Queue[str] = queue.Queue()
    app = Starlette(routes=[Route("/", told)])
    threading.Thread(target=serve, args=(app, 0, links.put), daemon=True).start()
    link = urlsplit(links.get(timeout=60))
    assert link.hostname is not None
    asked = http.client.HTTPConnection(link.hostname, link.port, timeout=60)
    asked.request("GET", f"/?{link.query}")
    opened = asked.getresponse()
    cookie = (opened.headers["set-cookie"] or "").partition(";")[0]
    opened.read()
    asked.request("GET", "/?" + "x" * 1_000_000, headers={"cookie": cookie})
    assert asked.getresponse().read() == b"1000000"
