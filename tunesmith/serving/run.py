"""Loads the models and answers at a socket, until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import uvicorn

from tunesmith.serving.app import App
from tunesmith.serving.engine import Sizes, tell_each
from tunesmith.serving.loading import load
from tunesmith.serving.protocol import Patient
from tunesmith.serving.rows import Row, Told
from tunesmith.serving.served import Asked
from tunesmith.serving.service import Service

Ready = Callable[[Mapping[str, frozenset[str]]], None]


class _Server(uvicorn.Server):
    """A server that ends with code 0 when it is told to end: uvicorn's own kills itself with the
    signal again.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        names = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(name, self.handle_exit) for name in names]
        try:
            yield
        finally:
            for name, handler in zip(names, before, strict=True):
                signal.signal(name, handler)


def run(
    asked: Sequence[Asked],
    service: Service,
    listener: socket.socket,
    keys: Sequence[str],
    ready: Ready,
) -> None:
    """Loads the runs and serves them; ``ready`` hears their names and routes when they can be
    asked. Returns after a signal, once what was being written is finished or took too long.
    """
    asyncio.run(_run(asked, service, listener, keys, ready))


async def _run(
    asked: Sequence[Asked],
    service: Service,
    listener: socket.socket,
    keys: Sequence[str],
    ready: Ready,
) -> None:
    loop = asyncio.get_running_loop()

    def hand_over(told: list[tuple[Row, Told]]) -> None:
        if told and not loop.is_closed():
            loop.call_soon_threadsafe(tell_each, told)

    sizes = Sizes(at_once=service.at_once, waiting=service.waiting)
    served = load(asked, sizes, hand_over)
    app = App(served, service.limits).guarded(keys=keys, hosts=service.address.names)
    _log()
    server = _Server(_config(app, service))
    running = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not (server.started or running.done()):
        # uvicorn sets a flag, which nobody can wait for.
        await asyncio.sleep(0.01)
    ready({run.name: run.endpoints for run in served})
    await running
    workers = {id(worker): worker for run in served for worker in (run.engine, run.reader)}
    for worker in workers.values():
        if worker is not None:
            worker.close()


def _config(app: object, service: Service) -> uvicorn.Config:
    limits = service.limits
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        # With them a client names the address that it seems to come from.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=int(limits.drain_seconds),
        h11_max_incomplete_event_size=limits.header,
    )


def _log() -> None:
    """Sends one line a request to standard error."""
    log = logging.getLogger("tunesmith.serve")
    log.setLevel(logging.INFO)
    log.propagate = False
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
