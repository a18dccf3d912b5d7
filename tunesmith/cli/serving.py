"""The verb that serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from tunesmith.cli.options import Lang, Which, print_lines
from tunesmith.cli.run_with import run_with

Server = Literal["tunesmith", "vllm"]
Names = Annotated[list[str], typer.Argument(metavar="RUN|NAME=RUN", show_default=False)]


def serve(
    names: Names,
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8000,
    keys: Annotated[Path | None, typer.Option("--keys", metavar="FILE", show_default=False)] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="NAME", show_default=False)
    ] = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=256)] = 16,
    queue: Annotated[
        int | None, typer.Option("--queue", min=0, max=4096, show_default=False)
    ] = None,
    bases: Annotated[bool, typer.Option("--bases")] = False,
    runs_on: Annotated[Server, typer.Option("--engine", metavar="tunesmith|vllm")] = "tunesmith",
    which: Which = "model",
    lang: Lang = "auto",
) -> None:
    """Serves runs with OpenAI's API."""
    from tunesmith.serving.by_vllm import refuse_ours, serve_by_vllm
    from tunesmith.serving.service import Address, Service
    from tunesmith.serving.start import serve

    address = Address(host, port, keys, tuple(allow_host or ()))
    service = Service(address, at_once=at_once, bases=bases)
    if runs_on == "vllm":
        refuse_ours({"--allow-host": allow_host, "--queue": queue, "--bases": bases or None})
        serve_by_vllm(names, service, which=lambda run: run_with(run, which), tell=print_lines)
        return
    service = service if queue is None else replace(service, waiting=queue)
    serve(names, service, which=lambda run: run_with(run, which), tell=print_lines)
