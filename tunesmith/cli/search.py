"""The verb that searches settings."""

from __future__ import annotations

from tunesmith.cli.options import AsJson, Lang, SettingsArgument, print_lines, quiet, tell
from tunesmith.cli.settings_line import settings_line
from tunesmith.words import say


def search(settings: SettingsArgument = None, as_json: AsJson = False, lang: Lang = "auto") -> None:
    """Tries settings, and proves the best."""
    from tunesmith import api

    with quiet(as_json):
        best_run = api.search(*settings_line(settings or [], lang))
    tell(best_run, as_json)
    if not as_json:
        print_lines(["", say("search.use", run=best_run.searched.best.path)])
