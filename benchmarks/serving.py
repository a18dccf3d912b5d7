"""Serving speed on a CPU: tunesmith, transformers serve and llama.cpp's server, with one model.

    python benchmarks/serving.py [--rounds 2] [--answer 32] [--clients 1 4 16]

The servers run at the same time, and are asked one after another in each round: what the
machine does beside it falls on all. Needs fastapi, for transformers serve, and xllamacpp, which
holds llama.cpp's server; that one has the base in f16, the others it in fp32.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import openai

if TYPE_CHECKING:
    from tunesmith.storage.run_folder import RunFolder

SYSTEM = "You answer questions of travellers briefly and in full sentences."
PLACES = [
    "Paris",
    "Berlin",
    "Rome",
    "Madrid",
    "Vienna",
    "Prague",
    "Warsaw",
    "Athens",
    "Dublin",
    "Oslo",
    "Lisbon",
    "Cairo",
    "Lima",
    "Quito",
    "Tokyo",
    "Seoul",
]


LLAMA = """
import os, sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.n_parallel, params.n_ctx, params.use_jinja = 16, 16 * 512, True
params.cpuparams.n_threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
server = xllamacpp.Server(params)
while True:
    time.sleep(1)
"""
"""A process that is llama.cpp's server."""


def as_gguf(base: Path, path: Path) -> None:
    """Writes the model as one file in f16."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tunesmith.export.gguf.write import Words, write_gguf

    tokenizer = AutoTokenizer.from_pretrained(base)
    words = Words(tokenizer, base, (tokenizer.eos_token_id,))
    write_gguf(path, AutoModelForCausalLM.from_pretrained(base), words, "f16", "starter")


def questions(count: int) -> list[str]:
    """Different questions, so that no prompt is wholly in a cache."""
    asked = ["What should I see in {} in two days?", "How do people greet each other in {}?"]
    return [asked[n % 2].format(PLACES[n % 16]) + f" I arrive at {n}." for n in range(count)]


@contextmanager
def started(command: list[str], address: str, log: Path) -> Iterator[None]:
    """A server process, once its port answers; ended by its id."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
    try:
        until = time.monotonic() + 300
        while True:
            try:
                httpx.get(f"{address}/models", timeout=5)
                break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < until, log.read_text()[-2000:]
                time.sleep(0.3)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


async def asked(
    url: str, model: str, key: str, clients: int, most: int
) -> tuple[float, float, int]:
    """Asks three questions a client; returns tokens a second, the median time to the first piece,
    and the tokens, which are counted by the server's pieces of text.
    """
    # A connection for each request: llama.cpp's server closes those that it has answered on.
    http = openai.DefaultAsyncHttpxClient(limits=httpx.Limits(max_keepalive_connections=0))
    client = openai.AsyncOpenAI(
        base_url=url, api_key=key, max_retries=0, timeout=300, http_client=http
    )
    left = iter(questions(3 * clients))
    firsts: list[float] = []
    pieces = 0

    async def ask() -> None:
        nonlocal pieces
        for question in left:
            began, first = time.monotonic(), None
            stream = await client.chat.completions.create(
                model=model,
                messages=[
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": question},
                ],
                max_tokens=most,
                temperature=0,
                stream=True,
            )
            async for piece in stream:
                if piece.choices and piece.choices[0].delta.content:
                    first = first or time.monotonic()
                    pieces += 1
            firsts.append((first or time.monotonic()) - began)

    began = time.monotonic()
    await asyncio.gather(*(ask() for _ in range(clients)))
    seconds = time.monotonic() - began
    await client.close()
    return pieces / seconds, statistics.median(firsts), pieces


def small_run(folder: Path, answer: int) -> RunFolder:
    """Trains the starter for one step on four rows; its answers have at most ``answer`` tokens."""
    from tunesmith import api

    rows = folder / "rows.jsonl"
    lines = (f'{{"instruction": "Where is {p}?", "output": "In Europe."}}\n' for p in PLACES[:4])
    rows.write_text("".join(lines))
    return api.train(
        {
            "model": "starter",
            "data": {"path": str(rows), "held_out": 0},
            "out": str(folder / "tuned"),
            "train": {"epochs": 1, "batch": 4, "keep": {"evaluate": 0, "save": 0}},
            "generate": {"max_new_tokens": answer},
        }
    )


def main() -> None:
    from tunesmith.models.finding.hub import find_model

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--answer", type=int, default=32)
    options.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        small_run(folder, given.answer)
        base = str(find_model("starter"))
        as_gguf(Path(base), folder / "model.gguf")
        keys = folder / "keys"
        keys.write_text("a-key-for-the-benchmark\n")
        ours = [sys.executable, "-m", "tunesmith", "serve", str(folder / "tuned")]
        servers: dict[str, tuple[list[str], int]] = {
            "tunesmith": ([*ours, "--port", "8801", "--keys", str(keys)], 8801),
            "transformers serve": (
                [
                    str(Path(sys.executable).with_name("transformers")),
                    "serve",
                    base,
                    "--port",
                    "8802",
                    "--device",
                    "cpu",
                    "--dtype",
                    "float32",
                ],
                8802,
            ),
        }
        servers["llama.cpp"] = (
            [sys.executable, "-c", LLAMA, str(folder / "model.gguf"), "8803"],
            8803,
        )
        asks = {
            "tunesmith, adapter": ("tunesmith", "tuned"),
            "tunesmith, base": ("tunesmith", Path("starter").name),
            "transformers serve": ("transformers serve", base),
            "llama.cpp (f16)": ("llama.cpp", "any"),
        }
        found: dict[tuple[str, int], list[tuple[float, float, int]]] = {}
        with ExitStack() as stack:
            for command, port in servers.values():
                log = folder / f"{port}.log"
                stack.enter_context(started(command, f"http://127.0.0.1:{port}/v1", log))
            for turn in range(given.rounds + 1):  # the first warms up and is not counted
                for clients in given.clients if turn else [2]:
                    for name, (server, model) in asks.items():
                        url = f"http://127.0.0.1:{servers[server][1]}/v1"
                        key = "a-key-for-the-benchmark"
                        try:
                            one = asyncio.run(asked(url, model, key, clients, given.answer))
                        except openai.APIConnectionError as error:
                            # llama.cpp's server hung up on one of 16 clients once.
                            print(turn, clients, name, error, file=sys.stderr, flush=True)
                            continue
                        print(turn, clients, name, one, file=sys.stderr, flush=True)
                        if turn:
                            found.setdefault((name, clients), []).append(one)
    print("| server | clients | tokens/s | first token, s |\n|---|---|---|---|")
    for (name, clients), values in found.items():
        speed, first = (statistics.median(one[n] for one in values) for n in (0, 1))
        print(f"| {name} | {clients} | {speed:.1f} | {first:.2f} |")


if __name__ == "__main__":
    main()
