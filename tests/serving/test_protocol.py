"""A connection whose client does nothing is closed by the server."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvicorn

from tunesmith.serving import protocol
from tunesmith.serving.protocol import Patient

LIMIT = 60.0
"""Seconds after which something hangs."""


async def ended_by(client_reads: bool) -> bool:
    """Serves an answer without an end; returns whether the server ended it while the client was
    still there.
    """
    gone = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            await receive()  # the empty body
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        listening = asyncio.ensure_future(listen())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.is_set():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        await listening

    config = uvicorn.Config(app, http=Patient, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        if client_reads:
            for _ in range(20):  # twice as long as one that reads nothing may take
                assert await reader.read(2**20)
                await asyncio.sleep(protocol.UNREAD / 10)
            found = gone.is_set()
        else:
            await asyncio.wait_for(gone.wait(), LIMIT)
            found = True
        writer.transport.abort()
        server.should_exit = True
        await asyncio.wait_for(running, LIMIT)
    return found


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_that_nobody_reads_is_ended(reads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "UNREAD", 1.0)
    assert asyncio.run(ended_by(reads)) == (not reads)
