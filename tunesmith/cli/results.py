"""The verbs that use what a run left."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.gate import gate
from tunesmith.cli.run_with import run_with
from tunesmith.cli.terminal_input import at_terminal, converse, rows_of
from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import file_to_write
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.predicting.in_blocks import Answerer

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
        typer.Option("--suite", metavar="probe|safety|NAME=FILE|{name: NAME}", show_default=False),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME|FILE.py:FUNCTION|{name: NAME}", show_default=False),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=2, metavar="K", show_default=False)
    ] = None,
    checkpoints: Annotated[bool, typer.Option("--checkpoints")] = False,
    which: Which = "model",
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Proves a run and prints the verdict."""
    from tunesmith import api

    if checkpoints:
        others = {"shots": shots, "prompt": prompt, "data": data, "against": against}
        others |= {"metric": metric, "seeds": seeds, "which": None if which == "model" else which}
        clash = [name for name, value in others.items() if value]
        if clash:
            text = say("checkpoints.alone", names=", ".join(f"--{name}" for name in clash))
            raise SpecError(Problem("--checkpoints", text))
        with quiet(as_json), progress() as shown:
            curve = api.prove_checkpoints(run, items=items, suites=suite or (), progress=shown)
        tell(curve, as_json)
        _write_page(RunFolder(run), as_json)
        return
    asked: JsonObject = {"items": items, "shots": shots, "prompt": prompt}
    asked |= {"data": data, "against": against or (), "suites": suite or ()}
    asked |= {"metrics": metric or ()}
    with quiet(as_json), progress() as shown:
        folder = run_with(run, which)
        if seeds is None:
            proof = api.prove(folder, **asked, progress=shown)
        elif which != "model":
            raise SpecError(Problem("seeds", say("trainings.of_the_last_step", which=which)))
        else:
            proof = api.prove_seeds(folder, seeds, **asked, progress=shown)
    tell(proof, as_json)
    if which == "model" and data is None:
        _write_page(folder, as_json)
    gate(proof, folder.resolved().run.prove)


def _write_page(run: RunFolder, as_json: bool) -> None:
    """Writes the run's page anew, which training wrote without a proof; a disk that refuses costs
    the proof nothing.
    """
    from tunesmith.report.build import build

    try:
        line = say("cli.page_written", path=build(run))
    except TunesmithError as error:
        print(error, file=sys.stderr)
    else:
        if not as_json:
            print_lines(["", line])


def predict(
    run: RunArgument,
    file: Annotated[str, typer.Argument(metavar="FILE|-", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", show_default=False)] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="http://HOST/v1", show_default=False)
    ] = None,
    which: Which = "model",
    lang: Lang = "auto",
) -> None:
    """Prints answers as JSON lines."""
    from tunesmith.predicting.in_blocks import (
        AT_ENDPOINT,
        Unfinished,
        answered,
        lines,
        look_through,
    )
    from tunesmith.storage.atomic import write_whole

    target = file_to_write(out)
    asked = rows_of(file)
    folder = run_with(run, which)
    kept = None if target is None or file == "-" else Unfinished(target, folder, Path(file), engine)
    with progress() as shown:
        printed = sys.stdout
        with redirect_stdout(sys.stderr):
            model = _answerer(folder, engine, shown)
            seen = look_through(model, asked())
            done = kept.done() if kept else 0
            if done:
                shown.tell(say("cli.predict_goes_on", done=done, total=seen[0]))
            tell_how_far = partial(shown, say("cli.phase_predict"))
            size = AT_ENDPOINT if engine is not None else None
            blocks = answered(model, asked(), seen, done=done, size=size, progress=tell_how_far)
            if kept is not None:
                for block in blocks:
                    kept.add(block)
                kept.finish()
            elif target is not None:
                write_whole(target, "".join(map(lines, blocks)))
            else:
                for block in blocks:
                    print(lines(block), end="", file=printed, flush=True)
    if target is not None:
        print_lines([say("cli.written", path=out)])


def _answerer(folder: RunFolder, engine: str | None, shown: Shown) -> Answerer:
    """Returns what answers: the run's model, or the endpoint that is named."""
    if engine is not None:
        from tunesmith.events.stream import Events
        from tunesmith.teaching.answering import EndpointAnswers

        return EndpointAnswers(folder, engine, Events(shown.hear))
    from tunesmith import api

    return api.load(folder)


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


def report(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.md|FILE.csv", show_default=False)
    ] = None,
    lang: Lang = "auto",
) -> None:
    """Writes report.html, or the proof alone to a file."""
    from tunesmith.report.build import build
    from tunesmith.report.written import written
    from tunesmith.storage.atomic import write_whole

    folder = RunFolder(run)
    language = None if lang == "auto" else lang
    target = file_to_write(out)
    if target is None:
        out = build(folder, lang=language)
    else:
        write_whole(target, written(folder, target, lang=language))
    print_lines([say("cli.written", path=out)])


def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER")] = Path("runs"),
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Prints a table of runs."""
    from tunesmith.report.runs import lines
    from tunesmith.report.runs import runs as table

    rows = table(folder)
    if as_json:
        print_json({"runs": rows})
    else:
        print_lines(lines(rows))


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
