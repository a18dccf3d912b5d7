"""A server under load: many clients, and those that go away, send slowly or send nonsense.

    PYTHONPATH=.:tests python benchmarks/load.py          the whole (make load)
    PYTHONPATH=.:tests python benchmarks/load.py --small  a minute of it

It serves a tiny random model, so that what is measured is the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil

LIMIT = 120.0
"""Seconds that a client waits."""
WORDS = ["red", "blue", "green", "cat", "dog", "cow", "one", "two", "six", "xyz", "uvw"]
ODD: list[Any] = [None, True, -1, 0, 2**70, 1e308, "", "\ud800", "x" * 5000, [], {}, [[]], {"a": 1}]


def question(draw: random.Random) -> list[dict[str, str]]:
    return [{"role": "user", "content": " ".join(draw.choices(WORDS, k=draw.randint(1, 30)))}]


def client_of(server: Any, most: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=most)
    return httpx.AsyncClient(
        base_url=server.url, headers=server.headers, timeout=LIMIT, limits=limits
    )


async def many(server: Any, clients: int, requests: int) -> tuple[Counter[int], list[float]]:
    """Sends the requests by so many clients at once, half of them streamed; returns how often which
    status came, and the seconds of each request.
    """
    draw, left = random.Random(0), iter(range(requests))
    found: Counter[int] = Counter()
    seconds: list[float] = []
    async with client_of(server, clients) as client:

        async def ask() -> None:
            for number in left:
                body = {
                    "messages": question(draw),
                    "model": "whole",
                    "max_tokens": 8,
                    "stream": number % 2 == 0,
                }
                began = time.monotonic()
                answer = await client.post("chat/completions", json=body)
                found[answer.status_code] += 1
                seconds.append(time.monotonic() - began)

        await asyncio.gather(*(ask() for _ in range(clients)))
    return found, seconds


async def rows_there(client: httpx.AsyncClient) -> float:
    """Returns how many rows wait or are being written."""
    page = (await client.get(str(client.base_url).replace("/v1/", "/metrics"))).text
    return float(next(one for one in page.splitlines() if one.startswith("tunesmith_rows "))[15:])


async def going_away(server: Any, count: int) -> float:
    """Goes away in the middle of so many streams; returns after how many seconds nothing is written
    any more.
    """
    draw = random.Random(1)
    async with client_of(server, 16) as client:

        async def leave() -> None:
            body = {"messages": question(draw), "model": "whole", "max_tokens": 400, "stream": True}
            async with client.stream("POST", "chat/completions", json=body) as answer:
                async for _ in answer.aiter_raw():
                    return

        for start in range(0, count, 10):
            await asyncio.gather(*(leave() for _ in range(min(10, count - start))))
        began = time.monotonic()
        while await rows_there(client):
            assert time.monotonic() - began < LIMIT, "answers go on that nobody hears"
            await asyncio.sleep(0.02)
        return time.monotonic() - began


async def slow(server: Any, count: int) -> tuple[float, float]:
    """Sends so many requests letter by letter; returns the seconds of an honest request beside
    them, and those after which the last of them was closed.
    """
    host, port = server.address
    lines = [await asyncio.open_connection(host, port) for _ in range(count)]

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        closed = asyncio.ensure_future(reader.read())
        for letter in b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 999:
            writer.write(bytes([letter]))
            done, _ = await asyncio.wait({closed}, timeout=0.3)
            if done:
                break
        else:
            raise AssertionError("a head that never ends is waited for")
        writer.close()

    began = time.monotonic()
    dripping = [asyncio.ensure_future(drip(*line)) for line in lines]
    async with client_of(server, 1) as client:
        await asyncio.sleep(1)
        asked = time.monotonic()
        body = {"messages": question(random.Random(2)), "model": "whole", "max_tokens": 4}
        answer = await client.post("chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        honest = time.monotonic() - asked
    await asyncio.gather(*dripping)
    return honest, time.monotonic() - began


def nonsense(draw: random.Random) -> tuple[str, bytes]:
    """Draws a route and a body that is nearly right, or not at all."""
    route = draw.choice(["chat/completions", "completions", "embeddings", "classify", "score"])
    body: dict[str, Any] = {"messages": question(draw), "prompt": "red", "input": ["red"]}
    body |= {"model": "whole", "max_tokens": draw.randint(1, 3)}
    names = "model messages prompt input max_tokens temperature top_p n stop seed stream tools "
    names += "logprobs top_logprobs response_format tool_choice stream_options logit_bias echo"
    for name in draw.choices(names.split(), k=draw.choice([0, 1, 1, 2, 4])):
        body[name] = draw.choice(ODD)
    if draw.random() < 0.3:
        body["messages"] = [
            {"role": draw.choice(["user", 5, "x", None]), "content": draw.choice(ODD)}
        ]
    if draw.random() < 0.1:
        tool = {"type": "function", "function": draw.choice(ODD)}
        body["tools"] = [draw.choice([tool, *ODD])]
    if draw.random() < 0.1:
        schema = {"type": draw.choice(["object", "array", 7, "x"]), "properties": draw.choice(ODD)}
        body["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    text = json.dumps(body).encode()
    if draw.random() < 0.2:
        place = draw.randrange(len(text))
        text = text[:place] + draw.randbytes(draw.randint(0, 9)) + text[place + 3 :]
    return route, draw.choice([b"[" * 9999, b"\xff\xfe", b""]) if draw.random() < 0.03 else text


async def fuzz(server: Any, count: int) -> Counter[int]:
    """Sends so much nonsense; returns how often which status came."""
    draw, found = random.Random(3), Counter[int]()
    async with client_of(server, 8) as client:

        async def send(route: str, body: bytes) -> None:
            answer = await client.post(route, content=body)
            found[answer.status_code] += 1
            assert answer.status_code < 500, (route, body[:2000], answer.text)

        for _ in range(0, count, 8):
            await asyncio.gather(*(send(*nonsense(draw)) for _ in range(8)))
    return found


def memory(server: Any) -> float:
    """Returns the server's memory in MiB."""
    return psutil.Process(server.process.pid).memory_info().rss / 2**20


def share(values: list[float], part: float) -> float:
    return sorted(values)[int(part * (len(values) - 1))]


async def whole(server: Any, scale: float) -> list[tuple[str, str]]:
    """Returns the lines of the table."""
    sizes = {name: max(1, round(size * scale)) for name, size in SIZES.items()}
    # Memory that is taken once: the second 1 000 requests took 3.9 MiB, the next 10 000 1.4.
    await many(server, 64, sizes["requests"])
    before = memory(server)
    found, seconds = await many(server, 64, sizes["requests"])
    slope = (memory(server) - before) / sizes["requests"] * 1000
    assert not [status for status in found if status >= 500 and status != 503], found
    told = ", ".join(f"{number} x {status}" for status, number in sorted(found.items()))
    lines = [(f"64 clients, {sizes['requests']} requests", told)]
    lines.append(
        (
            "a request, median and 99th percentile",
            f"{share(seconds, 0.5):.2f} s, {share(seconds, 0.99):.2f} s",
        )
    )
    lines.append(("memory", f"{slope:+.2f} MiB per 1 000 requests"))
    gone = await going_away(server, sizes["leaving"])
    lines.append(
        (
            f"{sizes['leaving']} clients go away in mid-stream",
            f"nothing is written after {gone:.2f} s",
        )
    )
    honest, closed = await slow(server, sizes["slow"])
    lines.append(
        (
            f"{sizes['slow']} senders of a letter every 0.3 s",
            f"another request takes {honest:.2f} s; all closed after {closed:.1f} s",
        )
    )
    odd = await fuzz(server, sizes["nonsense"])
    told = ", ".join(f"{number} x {status}" for status, number in sorted(odd.items()))
    lines.append((f"{sizes['nonsense']} bodies of nonsense", told))
    return lines


SIZES = {"requests": 2000, "leaving": 200, "slow": 100, "nonsense": 10_000}


def main() -> None:
    from conftest import tiny_model
    from material.proved import labelled, trained
    from material.served import serving

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--small", action="store_true")
    scale = 0.1 if options.parse_args().small else 1.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = tiny_model(folder / "tiny")
        run = trained(folder, model, labelled(60), method={"name": "lora", "rank": 4})
        with serving([f"whole={run.path}"], folder / "log.txt", "--queue", "128") as server:
            lines = asyncio.run(whole(server, scale))
            assert server.end() == 0
    print("\n".join(f"| {name} | {told} |" for name, told in lines))


if __name__ == "__main__":
    main()
