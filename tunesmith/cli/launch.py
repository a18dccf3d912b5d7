"""The verb that makes a run the job of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import AsJson, Lang, SettingsArgument, tell
from tunesmith.cli.settings_line import settings_line
from tunesmith.errors import Problem, SpecError
from tunesmith.settings.family import CLUSTERS
from tunesmith.settings.spec import closest
from tunesmith.words import say


def launch(
    settings: SettingsArgument = None,
    submit: Annotated[bool, typer.Option("--submit")] = False,
    out: Annotated[Path | None, typer.Option("--out", show_default=False)] = None,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Writes the job of a cluster."""
    from tunesmith import api

    cluster, *words = settings or [""]
    if cluster not in CLUSTERS.names():
        allowed = ", ".join(CLUSTERS.names())
        text = say("launch.which", known=allowed)
        if settings:
            text += say("launch.got", value=repr(cluster)) + closest(cluster, CLUSTERS.names())
        raise SpecError(Problem("launch", text))
    given, overrides = settings_line(words, lang)
    file = given if isinstance(given, str) else None
    tell(api.launch(cluster, file, overrides, out=out, submit=submit), as_json)
