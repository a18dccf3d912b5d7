"""The verb that takes a share of what a run learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import AsJson, Lang, Number, RunArgument, Which, progress, quiet, tell
from tunesmith.cli.run_with import run_with
from tunesmith.errors import Problem, SpecError
from tunesmith.words import say


def blend(
    run: RunArgument,
    out: Annotated[Path | None, typer.Argument(metavar="OUT", show_default=False)] = None,
    alphas: Annotated[
        str | None, typer.Option("--alphas", metavar="0.3,0.6", show_default=False)
    ] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", show_default=False)] = None,
    items: Number = None,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="probe|safety|rows=FILE|text=FILE", show_default=False),
    ] = None,
    which: Which = "model",
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Writes a run between base and tuned."""
    from tunesmith import api

    shares = _numbers(alphas) if alphas is not None else []
    with quiet(as_json), progress() as shown:
        wanted = {"alphas": shares, "alpha": alpha, "items": items, "suites": suite or ()}
        blended = api.blend(run_with(run, which), out, **wanted, progress=shown)
    tell(blended, as_json)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SpecError(Problem("--alphas", say("blend.outside", given=text))) from None
