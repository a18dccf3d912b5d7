"""``tunesmith arena``: people vote on answers without knowing whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import (
    AsJson,
    Lang,
    print_json,
    print_lines,
    print_link,
    progress,
    quiet,
    tell,
)
from tunesmith.words import say


def arena(
    contenders: Annotated[
        list[str] | None,
        typer.Argument(metavar="A B data=FILE | FOLDER", show_default=False),
    ] = None,
    terminal: Annotated[bool, typer.Option("--terminal")] = False,
    result: Annotated[bool, typer.Option("--result")] = False,
    rows: Annotated[Path | None, typer.Option("--rows", metavar="OUT", show_default=False)] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", metavar="MODEL|https://HOST/v1", show_default=False)
    ] = None,
    who: Annotated[str, typer.Option("--who", metavar="NAME")] = "me",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 0,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Lets people vote, or prints what their votes show."""
    from tunesmith import api
    from tunesmith.pages.local import require_pages, serve
    from tunesmith.voting.page import Page
    from tunesmith.voting.telling import lines_of
    from tunesmith.voting.terminal import vote_here

    shows = not (terminal or result or judge or rows or as_json)
    if shows:
        require_pages()  # before models answer for an hour
    words = contenders or []
    settings = [word for word in words if _is_setting(word)]
    with quiet(as_json), progress() as shown:
        names = [word for word in words if word not in settings]
        comparison = api.arena(names, settings, progress=shown)
        lost = api.judge(comparison, judge, progress=shown) if judge is not None else 0
    if lost:
        print_lines([say("arena.judge_lost", count=lost)])
    if rows is not None:
        tell(comparison.write_rows(rows), as_json)
    elif as_json:
        print_json(comparison.result().to_json())
    elif result or judge is not None:
        print_lines(lines_of(comparison.result()))
    else:
        if terminal:
            vote_here(comparison, who, input, lambda text: print_lines([text]))
        else:
            serve(Page(comparison, who).app(), port, print_link)
        folder = comparison.folder
        print_lines([say("arena.kept", path=folder.votes, folder=folder.path)])


def _is_setting(word: str) -> bool:
    """Tells ``key=value`` from a model, whose address may hold an equals sign."""
    key, equals, _ = word.partition("=")
    return bool(equals) and "/" not in key and not key.startswith("http")
