"""What several verbs take and print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.words import say

SettingsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="RUN.YAML KEY=VALUE", show_default=False)
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", show_default=False)]
Lang = Annotated[str, typer.Option("--lang", metavar="en|zh|auto")]
AsJson = Annotated[bool, typer.Option("--json")]
Which = Annotated[str, typer.Option("--which", metavar="model|best|step-N")]
Number = Annotated[int | None, typer.Option(min=0, show_default=False)]


def quiet(as_json: bool) -> Any:
    """Sends everything else that is printed to standard error with ``--json``."""
    return redirect_stdout(sys.stderr) if as_json else redirect_stdout(sys.stdout)


def progress() -> Any:
    """Opens the display of how far a verb is."""
    from tunesmith.display.progress import Shown

    return Shown()


def tell(result: Any, as_json: bool) -> None:
    """Prints a result, for a program or for a person."""
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(result.lines())


def print_lines(lines: Iterable[str]) -> None:
    """Prints the lines at once, one below the other."""
    print("\n".join(lines), flush=True)


def print_link(link: str) -> None:
    """Prints the address of a page."""
    print_lines([say("pages.open", link=link)])


def print_json(value: object) -> None:
    """Prints the one object of ``--json``."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)
