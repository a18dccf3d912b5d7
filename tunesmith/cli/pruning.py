"""``tunesmith prune``: a model made lighter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import AsJson, Lang, progress, quiet, tell
from tunesmith.errors import TunesmithError
from tunesmith.words import say


def prune(
    lighter: Annotated[str, typer.Argument(metavar="RUN|MODEL|RUN.YAML", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", show_default=False)
    ] = None,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Takes parts out of a model; exit code 1 where the rest is not what was required."""
    from tunesmith import api

    with quiet(as_json), progress() as shown:
        done = api.prune(lighter, out, settings or [], progress=shown)
    tell(done, as_json)
    if not done.met:
        print(say("prune.required", **done.required()), file=sys.stderr)
        raise typer.Exit(TunesmithError.exit_code)
