"""What a person or a pipe types: rows as JSON lines, or the lines of a conversation."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import DataError, SpecError
from tunesmith.plain import JsonObject, Row
from tunesmith.settings.yaml_file import absent
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.predicting.chat import Session

SEVERAL = '"""'
"""Stands before and after a question of several lines."""


def rows_of(file: str) -> Callable[[], Iterable[tuple[str, Row | str]]]:
    """Returns what reads the rows or texts of a file, or with ``-`` those that were typed, with the
    places that messages name, as often as it is called; SpecError where the file is absent.
    """
    from tunesmith.data.files.questions import each_asked

    if file == "-":
        typed = rows_of_input()
        return lambda: typed.items()
    if not Path(file).is_file():
        raise absent(file)
    return lambda: each_asked(Path(file))


def rows_of_input() -> dict[str, JsonObject]:
    """Reads the typed rows, by the place that messages name."""
    try:
        lines = list(sys.stdin)
    except UnicodeDecodeError as error:
        raise SpecError(
            say(
                "cli.input_encoding",
                encoding=error.encoding,
                byte=f"0x{error.object[error.start]:02X}",
            )
        ) from None
    rows = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise SpecError(say("cli.not_json_line", line=number))
            rows[f"-:{number}"] = row
    return rows


def at_terminal() -> bool:
    """Tells whether a person types, and not a pipe."""
    return sys.stdin.isatty()


def asked_line() -> str | None:
    """Reads the next line of a conversation, or the lines between two marks; None where it ends."""
    try:
        line = input(say("cli.chat_you") if at_terminal() else "").strip()
        if not line.startswith(SEVERAL):
            return line or None
        lines = [line.removeprefix(SEVERAL)]
        while not lines[-1].endswith(SEVERAL):
            lines.append(input())
        lines[-1] = lines[-1].removesuffix(SEVERAL)
        return "\n".join(lines).strip() or None
    except EOFError:
        return None


def converse(session: Session) -> None:
    """Asks each line and prints its answer as it comes; one that cannot be asked ends a pipe, not a
    person's conversation.
    """
    while (line := asked_line()) is not None:
        if line == "/new":
            session.reset()
            continue
        before, cut = session.forgotten, session.cut
        try:
            for piece in session.say(line):
                print(piece, end="", flush=True)
        except DataError as error:
            if not at_terminal():
                raise
            print(error, file=sys.stderr)
            continue
        print()
        if session.cut > cut:
            print(say("chat.question_cut", limit=session.limit), file=sys.stderr)
        if at_terminal() and session.forgotten > before:
            print(say("chat.forgotten", count=session.forgotten - before), file=sys.stderr)
