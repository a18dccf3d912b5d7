"""``tunesmith ui``: the runs of a folder on a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import Lang, print_link


def ui(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER")] = Path("runs"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 0,
    lang: Lang = "auto",
) -> None:
    """Serves the page until it is interrupted."""
    from tunesmith.pages.local import require_pages, serve
    from tunesmith.ui.page import Page
    from tunesmith.ui.runs import Runs

    require_pages()
    serve(Page(Runs(folder)).app(), port, print_link)
