"""The verbs of the command line, one thin function each; an implementation is imported when its
verb is used.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.gate import gate
from tunesmith.cli.run_with import run_with
from tunesmith.cli.settings_line import check_line, files_and_settings, settings_line
from tunesmith.cli.terminal_input import at_terminal, converse, rows_of
from tunesmith.errors import SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.yaml_file import read_settings
from tunesmith.storage.atomic import file_to_write
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.planning.plan import Plan

SettingsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="RUN.YAML KEY=VALUE", show_default=False)
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", show_default=False)]
Lang = Annotated[str, typer.Option("--lang", metavar="en|zh|auto")]
AsJson = Annotated[bool, typer.Option("--json")]
Which = Annotated[str, typer.Option("--which", metavar="model|best|step-N")]
Number = Annotated[int | None, typer.Option(min=0, show_default=False)]


def check(
    settings: SettingsArgument = None,
    overfit: Annotated[bool, typer.Option("--overfit")] = False,
    benchmark: Annotated[
        list[str] | None, typer.Option("--against", metavar="FILE", show_default=False)
    ] = None,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Checks the data only."""
    from tunesmith import api, api_rows

    line = check_line(settings or [], lang)
    if overfit:
        with _quiet(as_json), _progress() as shown:
            learned = api.overfit(*line, progress=shown)
        print_json(learned.to_json()) if as_json else _print(learned.lines())
        raise typer.Exit(1 if learned.broken else 0)
    if benchmark:
        compared = api_rows.overlap(*line, against=benchmark)
        if as_json:
            print_json({"against": [one.to_json() for one in compared]})
        else:
            _print([told for one in compared for told in one.lines()])
        raise typer.Exit(1 if any(one.number for one in compared) else 0)
    with _quiet(as_json), _progress() as shown:
        found = api.check(*line, progress=shown)
    if as_json:
        print_json(found.to_json())
        return
    from rich.console import Console

    from tunesmith.cli.show_check import show_check

    show_check(found, Console())


def plan(
    settings: SettingsArgument = None,
    probe: Annotated[bool, typer.Option("--probe")] = False,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Prints what would run."""
    from tunesmith import api

    given, overrides = settings_line(settings or [], lang)
    given = read_settings(given) if isinstance(given, str | Path) else given
    with _quiet(as_json), _progress() as shown:
        stages = api.plan_stages(given, overrides, probe=probe, progress=shown)
        made = None
        if stages is None:
            made = api.plan(given, overrides, probe=probe, progress=shown)
    if made is not None:
        _tell(made, as_json)
    elif stages and as_json:
        print_json({name: one.to_json() for name, one in stages})
    for name, one in [] if as_json else stages or []:
        _print([say("cli.stage", name=name, out=one.resolved.run.out), *one.lines(), ""])
    planned = [made] if made is not None else [one for _, one in stages or []]
    if any(one.problems for one in planned):
        raise typer.Exit(2)


def train(
    settings: SettingsArgument = None,
    resume: Annotated[bool, typer.Option("--resume")] = False,
    lang: Lang = "auto",
) -> None:
    """Trains one run."""
    from tunesmith import api

    with _progress() as shown:
        if resume:
            if len(settings or []) != 1:
                raise SpecError(say("cli.resume_takes_folder"))
            folder = api.train(*(settings or []), resume=True, progress=shown)
        else:
            given, overrides = settings_line(settings or [], lang)
            folder = api.train(given, overrides, progress=shown, on_plan=_tell_plan)
    _print([say("cli.trained", model=folder.model), folder.next_step()])


def rlhf(
    settings: SettingsArgument = None,
    rlhf_type: Annotated[
        str | None,
        typer.Option("--rlhf-type", "--rlhf_type", metavar="OBJECTIVE", show_default=False),
    ] = None,
    lang: Lang = "auto",
) -> None:
    """Trains several runs."""
    from tunesmith import api

    words = list(settings or [])
    if rlhf_type is not None:
        # Beside other flags it is a line of a peer's, which is answered as a whole.
        theirs = any(word.startswith("--") for word in words)
        words += ["--rlhf_type", rlhf_type] if theirs else [f"rlhf_type={rlhf_type}"]
    given, overrides = settings_line(words, lang)
    with _progress() as shown:
        folders = api.rlhf(given, overrides, progress=shown, on_plan=_tell_plan)
    _print([say("cli.trained", model=folder.model) for folder in folders])
    _print([folders[-1].next_step()])


def _tell_plan(made: Plan) -> None:
    assert made.prepared is not None, "a plan without problems has its data"
    _print([*made.prepared.ledger.lines(), "", *made.fact_lines()])


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
    with _quiet(as_json), _progress() as shown:
        folder = run_with(run, which)
        proof = api.prove(folder, **asked, progress=shown)
    _tell(proof, as_json)
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
    with redirect_stdout(sys.stderr), _progress() as shown:
        model = api.load(run_with(run, which))
        places, tell = list(asked), lambda done, total: shown(say("cli.phase_predict"), done, total)
        rows = [model.rows.row_of(one) if isinstance(one, str) else one for one in asked.values()]
        answered = model.predict(rows, places=places, progress=tell)
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in answered)
    if place is None:
        sys.stdout.write(text)
    else:
        write_whole(place, text)
        _print([say("cli.written", path=out)])


def generate(
    settings: SettingsArgument = None, as_json: AsJson = False, lang: Lang = "auto"
) -> None:
    """Writes a teacher's answers."""
    from tunesmith import api

    with _quiet(as_json), _progress() as shown:
        account = api.generate(*settings_line(settings or [], lang), progress=shown)
    _tell(account, as_json)


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
        _print([say("cli.chat_start", model=run)])
    converse(session)


def data(
    step: Annotated[str, typer.Argument(metavar="STEP", show_default=False)],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="IN OUT KEY=VALUE", show_default=False)
    ] = None,
    measure: Annotated[bool, typer.Option("--measure")] = False,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Writes changed rows into a new file."""
    from tunesmith import api_rows

    files, settings = files_and_settings(words or [], step, 1 if measure else 2)
    with _quiet(as_json), _progress():
        if measure:
            _tell(api_rows.measure_anonymising(step, *files, settings=settings), as_json)
            return
        account = api_rows.change_rows(step, *files, settings=settings)
    _tell(account, as_json)
    if not as_json:
        _print([say("cli.written", path=files[1])])


def report(run: RunArgument, lang: Lang = "auto") -> None:
    """Writes report.html."""
    from tunesmith.report.build import build

    path = build(RunFolder(run), lang=None if lang == "auto" else lang)
    _print([say("cli.written", path=path)])


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
        _print(lines(found))


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False)],
    which: Which = "model",
    dtype: Annotated[str | None, typer.Option(metavar="fp32|bf16|fp16", show_default=False)] = None,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Writes a merged folder."""
    from tunesmith.export.merge import export as merge

    with _quiet(as_json), _progress() as shown:
        done = merge(run_with(run, which), out, dtype=dtype, progress=shown)
    _tell(done, as_json)


def tournament(
    settings: SettingsArgument = None, as_json: AsJson = False, lang: Lang = "auto"
) -> None:
    """Compares methods."""
    from tunesmith import api

    with _quiet(as_json):
        played = api.tournament(*settings_line(settings or [], lang))
    if as_json:
        print_json(played.to_json())
        return
    board = played.board
    _print(
        [
            "",
            *played.lines(),
            "",
            say("tournament.written", table=board.table, report=board.report, result=board.result),
        ]
    )


def explain(
    path: Annotated[str, typer.Argument(metavar="PATH", show_default=False)] = "",
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Prints the help for a setting."""
    from tunesmith import api
    from tunesmith.cli.show_explain import lines

    pages = api.explain(path)
    if as_json:
        print_json({"pages": [page.to_json() for page in pages]})
    else:
        _print(lines(pages))


def doctor(as_json: AsJson = False, lang: Lang = "auto") -> None:
    """Examines the machine."""
    from tunesmith.cli.doctor import examine, lines, to_json

    found = examine()
    if as_json:
        print_json(to_json(found))
    else:
        _print(lines(found))
    if any(item.state == "fault" for item in found):
        raise typer.Exit(1)


def demo(
    out: Annotated[Path, typer.Option("--out")] = Path("runs/demo"), lang: Lang = "auto"
) -> None:
    """Shows the whole job."""
    from tunesmith.cli.demo import demo as show

    show(out)


def objective_verb(objective: str) -> Any:
    """Returns the verb ``train`` with the objective set."""

    def verb(settings: SettingsArgument = None, lang: Lang = "auto") -> None:
        # In front, because the last flag of another tool's command line may take all that follows
        # it.
        train([f"objective={objective}", *(settings or [])], lang=lang)

    return verb


def _quiet(as_json: bool) -> Any:
    """Sends everything else that is printed to standard error with ``--json``."""
    return redirect_stdout(sys.stderr) if as_json else redirect_stdout(sys.stdout)


def _progress() -> Any:
    from tunesmith.display.progress import Shown

    return Shown()


def _tell(found: Any, as_json: bool) -> None:
    """Prints a result, for a program or for a person."""
    if as_json:
        print_json(found.to_json())
    else:
        _print(found.lines())


def _print(lines: Iterable[str]) -> None:
    print("\n".join(lines), flush=True)


def print_json(value: object) -> None:
    """Prints the one object of ``--json``."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)
