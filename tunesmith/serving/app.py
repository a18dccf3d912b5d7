"""The routes."""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Web
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tunesmith.batches.batch import Tokens
from tunesmith.errors import DataError, Problem, TunesmithError
from tunesmith.outputs import COLUMN
from tunesmith.plain import JsonObject
from tunesmith.serving.counts import Counts
from tunesmith.serving.engine import Full
from tunesmith.serving.faults import Refused, of_input, too_busy
from tunesmith.serving.guard import Guard
from tunesmith.serving.limits import Limits
from tunesmith.serving.replies import Reply, event
from tunesmith.serving.requests import (
    ChatRequest,
    CompletionRequest,
    ReadRequest,
    Written,
    ignored,
    parsed,
)
from tunesmith.serving.rows import Row
from tunesmith.serving.served import Served
from tunesmith.serving.writing import Heard, rows_of, steps
from tunesmith.words import say

Kind = TypeVar("Kind")
QUIET = 15.0
"""Seconds after which a stream that has nothing to say sends a comment, so that no proxy closes
it.
"""


class App:
    """The routes over the served models."""

    def __init__(self, served: Sequence[Served], limits: Limits) -> None:
        self.served = {run.name: run for run in served}
        self.limits, self.counts = limits, Counts(served)
        # One thread, for a tokenizer must not read two texts at once.
        self.reading: Executor = ThreadPoolExecutor(1, "tunesmith-prompts")

    def routes(self) -> Starlette:
        """Returns the app of Starlette."""
        posts: dict[str, Callable[[Web], Awaitable[Response]]] = {
            "/v1/chat/completions": self.chat,
            "/v1/completions": self.complete,
            "/v1/embeddings": self.embed,
            "/v1/classify": self.read,
            "/v1/score": self.read,
        }
        gets: dict[str, Callable[[Web], Awaitable[Response]]] = {
            "/v1/models": self.models,
            "/v1/models/{name}": self.model,
            "/health": self.health,
            "/metrics": self.metrics,
        }
        routes = [Route(path, do, methods=["POST"]) for path, do in posts.items()]
        routes += [Route(path, do, methods=["GET"]) for path, do in gets.items()]
        handlers: Any = {Refused: _refuse, HTTPException: _no_route, TunesmithError: _wrong}
        handlers[Exception] = _failed
        return Starlette(routes=routes, exception_handlers=handlers)

    def guarded(self, *, keys: Sequence[str], hosts: Sequence[str]) -> Guard:
        """Returns the whole app, behind its guard."""

        def count(route: str, status: int) -> None:
            self.counts.requests.labels(route, str(status or "gone")).inc()

        return Guard(self.routes(), keys=keys, hosts=hosts, limits=self.limits, count=count)

    async def chat(self, web: Web) -> Response:
        """Answers a conversation."""
        return await self._write(web, ChatRequest, "chat/completions")

    async def complete(self, web: Web) -> Response:
        """Tells what follows a text."""
        return await self._write(web, CompletionRequest, "completions")

    async def embed(self, web: Web) -> Response:
        """Returns the vectors of texts."""
        body = await web.body()
        request = await self._aside(lambda: parsed(body, ReadRequest))
        served = self._found(request.model, "embeddings")
        if not all(isinstance(row, str) for row in request.rows):
            raise DataError(Problem("input", say("serve.texts")))
        answers, tokens = await self._answers(served, request)
        vectors = [answer[COLUMN] for answer in answers]
        if request.dimensions not in (None, len(vectors[0])):
            text = say("serve.dimensions", size=len(vectors[0]))
            raise DataError(Problem("dimensions", text))
        coded = [
            base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            if request.encoding_format == "base64"
            else vector
            for vector in vectors
        ]
        data = [
            {"object": "embedding", "index": n, "embedding": vector}
            for n, vector in enumerate(coded)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        reply = {"object": "list", "data": data, "model": served.name, "usage": usage}
        return JSONResponse(reply, headers=_headers(request))

    async def read(self, web: Web) -> Response:
        """Returns classes, entities or scores, in the columns that ``predict`` adds to a row."""
        body = await web.body()
        request = await self._aside(lambda: parsed(body, ReadRequest))
        served = self._found(request.model, web.url.path.removeprefix("/v1/"))
        answers, tokens = await self._answers(served, request)
        data = [{"index": n, **answer} for n, answer in enumerate(answers)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        reply = {"object": "list", "data": data, "model": served.name, "usage": usage}
        return JSONResponse(reply, headers=_headers(request))

    async def models(self, web: Web) -> Response:
        """Lists what may be named as ``model``."""
        data = [_told(run) for run in self.served.values()]
        return JSONResponse({"object": "list", "data": data})

    async def model(self, web: Web) -> Response:
        """Tells of one model."""
        return JSONResponse(_told(self._named(web.path_params["name"])))

    async def health(self, web: Web) -> Response:
        """Says that the server answers."""
        return JSONResponse({"status": "ok"})

    async def metrics(self, web: Web) -> Response:
        """Returns the numbers."""
        return Response(self.counts.page(), media_type="text/plain; version=0.0.4")

    async def _write(self, web: Web, kind: type[Written], endpoint: str) -> Response:
        body = await web.body()
        request = await self._aside(lambda: parsed(body, kind))
        served = self._found(request.model, endpoint)
        assert served.engine is not None, "what answers here writes"
        heard: Heard = asyncio.Queue()
        rows = await self._aside(lambda: rows_of(served, request, self.limits, heard))
        reply = Reply(request, served.name, rows, served.engine.tokenizer)
        if request.stream:
            events = self._events(served, reply, rows, heard)
            # The first step decides whether it is an error, which has a status of its own.
            opening = await anext(events)
            headers = {**_headers(request), "x-accel-buffering": "no"}
            return _Stream(_joined(opening, events), headers=headers)
        async with _Listening(web, rows):
            first = None
            async with aclosing(steps(served, rows, heard, self.limits)) as progress:
                async for choice, told in progress:
                    first = first or time.monotonic()
                    reply.choices[choice].add(told)
        self.counts.finished(rows, first)
        return JSONResponse(reply.whole(), headers=_headers(request))

    async def _events(
        self, served: Served, reply: Reply, rows: list[Row], heard: Heard
    ) -> AsyncGenerator[str, None]:
        first = None
        async with aclosing(steps(served, rows, heard, self.limits)) as progress:
            try:
                async for choice, told in progress:
                    if first is None:
                        first = time.monotonic()
                        yield "".join(reply.begin())
                    yield "".join(reply.piece(choice, told))
            except Refused as refused:
                if first is None:
                    raise
                yield event(refused.to_json())
                return
        self.counts.finished(rows, first)
        yield "".join(reply.end())

    async def _answers(self, served: Served, request: ReadRequest) -> tuple[list[JsonObject], int]:
        """Reads the rows of a request; returns the new columns of each, and how many tokens there
        were.
        """
        reader, predictor = served.reader, served.predictor
        assert reader is not None, "what answers here reads"
        count = len(request.rows)
        if not 0 < count <= self.limits.inputs:
            text = say("serve.inputs", given=count, most=self.limits.inputs)
            raise DataError(Problem("input", text))

        def ask() -> list[Any]:
            asked, problems = [], []
            for index, asked_row in enumerate(request.rows):
                row = predictor.rows.row_of(asked_row) if isinstance(asked_row, str) else asked_row
                try:
                    asked.append(predictor.objective.output.ask(predictor, row))
                except DataError as error:
                    problems += [
                        Problem(f"input.{index}", str(problem)) for problem in error.problems
                    ]
            if problems:
                raise DataError(problems[:5])
            return asked

        asked = await self._aside(ask)
        try:
            future = asyncio.wrap_future(reader.submit(asked))
        except Full:
            raise too_busy() from None
        try:
            answers = await asyncio.wait_for(future, self.limits.answer_seconds)
        except asyncio.TimeoutError:
            raise Refused(504, say("serve.late"), code="generation_timeout") from None
        return answers, sum(map(_tokens, asked))

    async def _aside(self, work: Callable[[], Kind]) -> Kind:
        """Does what takes as long as a text is long in the thread for that."""
        return await asyncio.get_running_loop().run_in_executor(self.reading, work)

    def _found(self, name: str, endpoint: str) -> Served:
        """Returns the model of a request; one that names none gets the only one of this route."""
        if not name:
            fitting = [run for run in self.served.values() if endpoint in run.endpoints]
            if len(fitting) != 1:
                allowed = ", ".join(self.served)
                raise DataError(Problem("model", say("serve.no_model", known=allowed)))
            return fitting[0]
        served = self._named(name)
        if endpoint not in served.endpoints:
            routes = ", ".join(f"/v1/{route}" for route in sorted(served.endpoints))
            text = say("serve.other_route", name=name, routes=routes)
            raise Refused(400, text, param="model", code="wrong_endpoint")
        return served

    def _named(self, name: str) -> Served:
        served = self.served.get(name)
        if served is None:
            text = say("serve.unknown_model", known=", ".join(self.served))
            raise Refused(404, text, param="model", code="model_not_found")
        return served


class _Stream(StreamingResponse):
    """Events; the client's going away ends the answers, for it closes what they come from."""

    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except ClientDisconnect:
            pass
        finally:
            await self.body_iterator.aclose()  # type: ignore[union-attr]


async def _joined(opening: str, events: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with aclosing(events):
        yield opening
        waiting = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=QUIET)
                if not done:
                    yield ": waiting\n\n"
                    continue
                text = waiting.result()
                if text is None:
                    return
                yield text
                waiting = asyncio.ensure_future(anext(events, None))
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


class _Listening:
    """A watch on the client while its rows are awaited: they end when it goes away."""

    def __init__(self, web: Web, rows: Sequence[Row]) -> None:
        self.web, self.rows = web, rows

    async def __aenter__(self) -> None:
        self.task = asyncio.ensure_future(self._listen())

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _listen(self) -> None:
        while (await self.web.receive())["type"] != "http.disconnect":
            pass
        for row in self.rows:
            row.gone = True


def _headers(request: Any) -> dict[str, str]:
    names = ignored(request)
    return {"x-tunesmith-ignored": ", ".join(names)} if names else {}


def _told(served: Served) -> JsonObject:
    facts = {"id": served.name, "object": "model", "created": served.created}
    return {**facts, "owned_by": "tunesmith", "endpoints": sorted(served.endpoints)}


def _tokens(asked: Any) -> int:
    """Counts the tokens of what an output asks."""
    if isinstance(asked, dict):
        return sum(map(_tokens, asked.values()))
    if isinstance(asked, list | tuple):
        return sum(map(_tokens, asked))
    return len(asked.ids_T) if isinstance(asked, Tokens) else 0


async def _refuse(web: Web, error: Exception) -> Response:
    assert isinstance(error, Refused), "the app calls it for these alone"
    return JSONResponse(error.to_json(), error.status, error.headers)


async def _wrong(web: Web, error: Exception) -> Response:
    assert isinstance(error, TunesmithError), "the app calls it for these alone"
    return await _refuse(web, of_input(error))


async def _no_route(web: Web, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "the app calls it for these alone"
    key = "serve.no_method" if error.status_code == 405 else "serve.no_route"
    refused = Refused(error.status_code, say(key), headers=error.headers)
    return await _refuse(web, refused)


async def _failed(web: Web, error: Exception) -> Response:
    return await _refuse(web, Refused(500, say("serve.failed")))
