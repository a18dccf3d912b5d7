"""The verbs that look, and change nothing but files of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.settings_line import check_line, files_and_settings, one_word, settings_line
from tunesmith.settings.yaml_file import read_settings
from tunesmith.words import say

if TYPE_CHECKING:
    pass


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


def check(
    settings: SettingsArgument = None,
    overfit: Annotated[bool, typer.Option("--overfit")] = False,
    benchmark: Annotated[
        list[str] | None, typer.Option("--against", metavar="FILE", show_default=False)
    ] = None,
    row: Annotated[
        str | None, typer.Option("--row", metavar="N|FILE:N", show_default=False)
    ] = None,
    with_base: Annotated[bool, typer.Option("--base")] = False,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Checks the data only."""
    from tunesmith import api

    line = check_line(settings or [], lang)
    if overfit:
        with quiet(as_json), progress() as shown:
            learned = api.overfit(*line, progress=shown)
        print_json(learned.to_json()) if as_json else print_lines(learned.lines())
        raise typer.Exit(1 if learned.broken else 0)
    if benchmark:
        compared = api.overlap(*line, against=benchmark)
        if as_json:
            print_json({"against": [overlap.to_json() for overlap in compared]})
        else:
            print_lines([line for overlap in compared for line in overlap.lines()])
        raise typer.Exit(1 if any(overlap.number for overlap in compared) else 0)
    if with_base:
        with quiet(as_json), progress() as shown:
            asked = api.under_base(*line, progress=shown)
        tell(asked, as_json)
        return
    with quiet(as_json), progress() as shown:
        checked = api.check(*line, progress=shown)
        rows = checked.row(row) if row is not None else None
    if as_json:
        print_json(
            checked.to_json()
            if rows is None
            else {"rows": [shown_row.to_json() for shown_row in rows]}
        )
        return
    from rich.console import Console

    from tunesmith.cli.show_check import show_check, show_rows

    show_check(checked, Console()) if rows is None else show_rows(rows, Console())


def plan(
    settings: SettingsArgument = None,
    probe: Annotated[bool, typer.Option("--probe")] = False,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Prints what would run."""
    from tunesmith import api

    cards, rest = one_word("cards", settings or [])
    given, overrides = settings_line(rest, lang)
    given = read_settings(given) if isinstance(given, str | Path) else given
    if cards is not None:
        with quiet(as_json), progress() as shown:
            laid = api.plan_cards(given, overrides, cards=cards, progress=shown)
        tell(laid, as_json)
        raise typer.Exit(0 if laid.chosen else 2)
    with quiet(as_json), progress() as shown:
        stages = api.plan_stages(given, overrides, probe=probe, progress=shown)
        made = None
        if stages is None:
            made = api.plan(given, overrides, probe=probe, progress=shown)
    if made is not None:
        tell(made, as_json)
    elif stages and as_json:
        print_json({name: stage.to_json() for name, stage in stages})
    for name, stage in [] if as_json else stages or []:
        print_lines([say("cli.stage", name=name, out=stage.resolved.run.out), *stage.lines(), ""])
    planned = [made] if made is not None else [stage for _, stage in stages or []]
    if any(each.problems for each in planned):
        raise typer.Exit(2)


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

    from tunesmith import api
    from tunesmith.data.steps import refuse_unknown

    refuse_unknown(step)
    files, settings = _files(words or [], step, measure)
    with quiet(as_json), progress() as shown:
        if measure:
            tell(api.measure_anonymising(step, *files, settings=settings), as_json)
            return
        *sources, out = files
        account = api.change_rows(step, sources, out, settings=settings, progress=shown)
    tell(account, as_json)
    if not as_json:
        print_lines([say("cli.written", path=files[-1])])


def _files(words: list[str], step: str, measure: bool) -> tuple[list[str], list[str]]:
    """Returns the files of the line and its settings: ``mix`` reads several files, the others
    one.
    """
    if step == "mix":
        return files_and_settings(words, step, 3)
    number = 1 if measure else 2
    return files_and_settings(words, step, number, number)


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
        print_lines(lines(pages))


def doctor(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", show_default=False)] = None,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Examines the machine, or a run."""
    if run is not None:
        from tunesmith import api

        signs = api.signs_of(run)
        if as_json:
            print_json({"signs": [sign.to_json() for sign in signs]})
        else:
            print_lines([sign.text() for sign in signs] or [say("health.quiet")])
        raise typer.Exit(1 if signs else 0)
    from tunesmith.cli.doctor import examine, lines, to_json

    findings = examine()
    if as_json:
        print_json(to_json(findings))
    else:
        print_lines(lines(findings))
    if any(item.state == "fault" for item in findings):
        raise typer.Exit(1)
