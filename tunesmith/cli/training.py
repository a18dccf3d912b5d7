"""The verbs that train."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.options import (
    AsJson,
    Lang,
    SettingsArgument,
    print_json,
    print_lines,
    progress,
    quiet,
    tell,
)
from tunesmith.cli.settings_line import is_file, settings_line
from tunesmith.errors import SpecError
from tunesmith.machine.ranks import machines, run_ranks, started_by_another
from tunesmith.planning.processes import refuse_too_many
from tunesmith.settings.given import settings_of
from tunesmith.settings.run import Run
from tunesmith.settings.yaml_file import read_settings
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.planning.plan import Plan


def train(
    settings: SettingsArgument = None,
    resume: Annotated[bool, typer.Option("--resume")] = False,
    lang: Lang = "auto",
) -> None:
    """Trains one run."""
    from tunesmith import api

    words = settings or []
    if resume:
        if len(words) != 1:
            raise SpecError(say("cli.resume_takes_folder"))
        stopped = RunFolder(Path(words[0]))
        _in_several(stopped.resolved().run, ["train", words[0], "--resume", "--lang", lang])
        with progress() as shown:
            folder = api.train(stopped, resume=True, progress=shown)
    else:
        given, overrides = settings_line(words, lang)
        # Read here, once for this process and what it trains.
        if isinstance(given, str) and not os.path.isdir(given):
            given = dict(read_settings(given))
        _in_several(settings_of(given, overrides), ["train", *words, "--lang", lang])
        with progress() as shown:
            folder = api.train(given, overrides, progress=shown, on_plan=_tell_plan)
    print_lines([say("cli.trained", model=folder.model), folder.next_step()])


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
    with progress() as shown:
        folders = api.rlhf(given, overrides, progress=shown, on_plan=_tell_plan)
    print_lines([say("cli.trained", model=folder.model) for folder in folders])
    print_lines([folder.next_step() for folder in folders[-1:]])


def _in_several(run: Run, words: list[str]) -> None:
    """Runs the command in the processes that ``run`` asks for and ends with their exit code; does
    nothing where this is one of them, or the only one.
    """
    if (run.processes > 1 or machines() > 1) and not started_by_another():
        refuse_too_many(run)
        command = [sys.executable, "-m", "tunesmith", *words]
        raise typer.Exit(run_ranks(run.processes, command))


def _tell_plan(made: Plan) -> None:
    assert made.prepared is not None, "a plan without problems has its data"
    print_lines([*made.prepared.ledger.lines(), "", *made.fact_lines()])


def generate(
    settings: SettingsArgument = None, as_json: AsJson = False, lang: Lang = "auto"
) -> None:
    """Writes a teacher's answers."""
    from tunesmith import api

    with quiet(as_json), progress() as shown:
        account = api.generate(*settings_line(settings or [], lang), progress=shown)
    tell(account, as_json)


def tournament(
    settings: SettingsArgument = None, as_json: AsJson = False, lang: Lang = "auto"
) -> None:
    """Compares methods."""
    from tunesmith import api

    with quiet(as_json):
        played = api.tournament(*settings_line(settings or [], lang))
    if as_json:
        print_json(played.to_json())
        return
    board = played.board
    print_lines(
        [
            "",
            *played.lines(),
            "",
            say("tournament.written", table=board.table, report=board.report, result=board.result),
        ]
    )


def demo(
    out: Annotated[Path, typer.Option("--out")] = Path("runs/demo"), lang: Lang = "auto"
) -> None:
    """Shows the whole job."""
    from tunesmith.cli.demo import demo as show

    show(out)


def objective_verb(objective: str) -> Any:
    """Returns the verb ``train`` with the objective set; what a file says of it stays."""

    def verb(settings: SettingsArgument = None, lang: Lang = "auto") -> None:
        words = settings or []
        # In front, because the last flag of another tool's command line may take all that follows
        # it; but a file comes first.
        first = int(bool(words) and is_file(words[0]))
        train([*words[:first], f"objective.name={objective}", *words[first:]], lang=lang)

    return verb
