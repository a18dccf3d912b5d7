"""The verb that puts runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import AsJson, Lang, print_json, print_lines
from tunesmith.storage.atomic import file_to_write
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", show_default=False)],
    data: Annotated[str | None, typer.Option("--data", metavar="FILE", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", show_default=False)] = None,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Prints a table of the runs, and writes a page."""
    from tunesmith import api

    RunFolder(runs[0]).resolved()
    page = file_to_write(out or runs[0] / "compare.html")
    compared = api.compare(runs, data=data, page=page)
    if as_json:
        print_json(compared.to_json())
    else:
        print_lines([*compared.lines(), say("compare.written", path=page)])
