"""From a request for answers to rows of the engine, and from their steps to what a client hears."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from tunesmith.data.asked_rows import asks
from tunesmith.data.columns.finishing import conversation
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Text
from tunesmith.models.calling.room import Room
from tunesmith.serving.engine import Full
from tunesmith.serving.faults import Refused, too_busy
from tunesmith.serving.limits import Limits
from tunesmith.serving.requests import ChatRequest, CompletionRequest, Written, settings
from tunesmith.serving.rows import Row, Told
from tunesmith.serving.served import Served
from tunesmith.words import say

Heard = asyncio.Queue[tuple[int, Told]]


def rows_of(served: Served, request: Written, limits: Limits, heard: Heard) -> list[Row]:
    """Makes the rows of a request, ``n`` for each prompt; raises DataError for one that cannot be
    asked. Takes as long as its text is long: not for the thread that answers.
    """
    settings_asked = settings(request, served.predictor.run.generate, limits)
    likely = _likely(request)
    engine, predictor = served.engine, served.predictor
    assert engine is not None, "only models that write are asked for answers"
    schema = _schema(request)
    if (likely is not None or schema is not None) and not engine.likelihoods:
        name = "logprobs" if likely is not None else "response_format"
        raise DataError(Problem(name, say("serve.alone")))
    room = Room.of(predictor.loaded.model, predictor.loaded.tokenizer, settings_asked)
    # numpy takes no negative seed, and a request may have one.
    seed = secrets.randbits(63) if request.seed is None else request.seed % 2**63
    rows: list[Row] = []
    prompts = _prompts(served, request, limits)
    room.refuse(prompts)
    for prompt in prompts:
        first: Row | None = None
        for choice in range(request.n):
            number = len(rows)
            row = Row(
                prompt,
                room.within(settings_asked, len(prompt)),
                tuple(predictor.render.stop_ids),
                lambda added, number=number: heard.put_nowait((number, added)),
                adapter=served.adapter,
                seed=(seed, choice) if choice else (seed,),
                likely=likely,
                after=first,
            )
            if schema is not None:
                assert served.grammars is not None, "models that write have them"
                row.grammar = served.grammars.of(schema)
            first = first or row
            rows.append(row)
    return rows


async def steps(
    served: Served, rows: Sequence[Row], heard: Heard, limits: Limits
) -> AsyncGenerator[tuple[int, Told], None]:
    """Yields what each step adds to which row, until all are finished; whoever stops listening
    ends them. Raises Refused where they could not be begun or finished in time.
    """
    assert served.engine is not None, "only models that write are asked for answers"
    try:
        served.engine.submit(rows)
    except Full:
        raise too_busy() from None
    loop = asyncio.get_running_loop()
    begin_by, end_by = loop.time() + limits.wait_seconds, loop.time() + limits.answer_seconds
    open_rows = len(rows)
    try:
        while open_rows:
            begun = any(row.begun is not None for row in rows)
            until = end_by if begun else min(begin_by, end_by)
            try:
                number, added = await asyncio.wait_for(heard.get(), until - loop.time())
            except asyncio.TimeoutError:
                # One has begun while we waited for it: from then on it has the time of an answer.
                if not begun and any(row.begun is not None for row in rows):
                    continue
                raise _late(begun) from None
            if added.finish == "error":
                raise Refused(500, say("serve.failed"))
            if added.finish == "gone":
                raise Refused(503, say("serve.ending"), headers={"retry-after": "5"})
            open_rows -= added.finish is not None
            yield number, added
    finally:
        for row in rows:
            row.gone = True


def _late(begun: bool) -> Refused:
    if begun:
        return Refused(504, say("serve.late"), code="generation_timeout")
    return Refused(503, say("serve.waited"), headers={"retry-after": "5"})


def _likely(request: Written) -> int | None:
    """Returns how many likely tokens are told with each one; None for no likelihoods."""
    if isinstance(request, ChatRequest):
        return (request.top_logprobs or 0) if request.logprobs else None
    return request.logprobs if isinstance(request, CompletionRequest) else None


def _schema(request: Written) -> dict[str, object] | bool | None:
    form = request.response_format if isinstance(request, ChatRequest) else None
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return {"type": "object"}
    if form.json_schema is None:
        where = "response_format.json_schema"
        raise DataError(Problem(where, say("serve.no_schema")))
    return form.json_schema.given


def _prompts(served: Served, request: Written, limits: Limits) -> list[np.ndarray]:
    """Returns the token ids of what is asked: of a conversation by the run's own template, of a
    text as it is.
    """
    if isinstance(request, ChatRequest):
        return [_chat(served, request)]
    assert isinstance(request, CompletionRequest), "there are two kinds of requests"
    prompts = request.prompt
    if isinstance(prompts, str):
        prompts = [prompts]
    if prompts and isinstance(prompts[0], int):
        prompts = [prompts]  # type: ignore[list-item]
    if not prompts:
        raise DataError(Problem("prompt", say("serve.no_prompt")))
    if len(prompts) > limits.prompts:
        text = say("serve.too_many", given=len(prompts), most=limits.prompts)
        raise DataError(Problem("prompt", text))
    return [_text(served, prompt) for prompt in prompts]  # type: ignore[arg-type]


def _text(served: Served, prompt: str | list[int]) -> np.ndarray:
    if isinstance(prompt, str):
        ids = served.predictor.render.opening(Text(prompt))
    else:
        size = len(served.predictor.loaded.tokenizer)
        if any(token >= size for token in prompt):
            raise DataError(Problem("prompt", say("serve.no_token", most=size - 1)))
        ids = np.array(prompt, np.int32)
    if not len(ids):
        raise DataError(Problem("prompt", say("serve.no_prompt")))
    return ids


def _chat(served: Served, request: ChatRequest) -> np.ndarray:
    tools = request.tools if request.tools and request.tool_choice != "none" else ()
    chat = conversation(request.messages, "messages.{}", tuple(tools))
    if not asks(chat):
        raise DataError(Problem("messages", say("chat.no_turn")))
    return served.predictor.render.prompt(chat.prompt)
