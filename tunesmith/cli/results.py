"""The verbs that use what a run left."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.gate import gate
from tunesmith.cli.run_with import run_with
from tunesmith.cli.terminal_input import at_terminal, converse, rows_of
from tunesmith.errors import TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import file_to_write
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    pass


from tunesmith.cli.options import (
    AsJson,
    Lang,
    Number,
    RunArgument,
    Which,
    print_json,
    print_lines,
    progress,
    quiet,
    tell,
)


def prove(
    run: RunArgument,
    items: Number = None,
    shots: Number = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="FILE", show_default=False)
    ] = None,
    data: Annotated[str | None, typer.Option("--data", metavar="FILE", show_default=False)] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="RUN|MODEL|https://HOST/v1", show_default=False),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="probe|safety|rows=FILE|text=FILE", show_default=False),
    ] = None,
    which: Which = "model",
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Proves a run and prints the verdict."""
    from tunesmith import api

    asked: JsonObject = {"items": items, "shots": shots, "prompt": prompt}
    asked |= {"data": data, "against": against or (), "suites": suite or ()}
    with quiet(as_json), progress() as shown:
        folder = run_with(run, which)
        proof = api.prove(folder, **asked, progress=shown)
    tell(proof, as_json)
    gate(proof, folder.resolved().run.prove)


def predict(
    run: RunArgument,
    file: Annotated[str, typer.Argument(metavar="FILE|-", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", show_default=False)] = None,
    which: Which = "model",
    lang: Lang = "auto",
) -> None:
    """Prints answers as JSON lines."""
    from tunesmith import api
    from tunesmith.storage.atomic import write_whole

    place = file_to_write(out)
    asked = rows_of(file)
    with redirect_stdout(sys.stderr), progress() as shown:
        model = api.load(run_with(run, which))
        places, tell = list(asked), lambda done, total: shown(say("cli.phase_predict"), done, total)
        rows = [model.rows.row_of(one) if isinstance(one, str) else one for one in asked.values()]
        answered = model.predict(rows, places=places, progress=tell)
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in answered)
    if place is None:
        sys.stdout.write(text)
    else:
        write_whole(place, text)
        print_lines([say("cli.written", path=out)])


def chat(
    run: RunArgument,
    base: Annotated[bool, typer.Option("--base")] = False,
    system: Annotated[str | None, typer.Option("--system", show_default=False)] = None,
    which: Which = "model",
    lang: Lang = "auto",
) -> None:
    """Answers in the terminal, over several turns."""
    from tunesmith.predicting.chat import Session

    session = Session(run_with(run, which), tuned=not base, system=system)
    if at_terminal():
        print_lines([say("cli.chat_start", model=run)])
    converse(session)


def report(run: RunArgument, lang: Lang = "auto") -> None:
    """Writes report.html."""
    from tunesmith.report.build import build

    path = build(RunFolder(run), lang=None if lang == "auto" else lang)
    print_lines([say("cli.written", path=path)])


def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER")] = Path("runs"),
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Prints a table of runs."""
    from tunesmith.report.runs import lines
    from tunesmith.report.runs import runs as table

    found = table(folder)
    if as_json:
        print_json({"runs": found})
    else:
        print_lines(lines(found))


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", show_default=False)
    ] = None,
    which: Which = "model",
    dtype: Annotated[str | None, typer.Option(metavar="fp32|bf16|fp16", show_default=False)] = None,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Writes the model in another format; exit code 1 where it is not what the run requires."""
    from tunesmith import api

    words = [*(settings or []), *([f"format.dtype={dtype}"] if dtype else [])]
    with quiet(as_json), progress() as shown:
        done = api.export_run(run_with(run, which), out, words, progress=shown)
    tell(done, as_json)
    if not done.met:
        print(say("export.required", **done.required()), file=sys.stderr)
        raise typer.Exit(TunesmithError.exit_code)
