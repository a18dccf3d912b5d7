"""The verb that draws a learning curve."""

from __future__ import annotations

from tunesmith.cli.options import AsJson, Lang, SettingsArgument, print_lines, quiet, tell
from tunesmith.cli.settings_line import settings_line
from tunesmith.words import say


def curve(settings: SettingsArgument = None, as_json: AsJson = False, lang: Lang = "auto") -> None:
    """Trains by several numbers of rows."""
    from tunesmith import api

    with quiet(as_json):
        drawn = api.curve(*settings_line(settings or [], lang))
    tell(drawn, as_json)
    if not as_json:
        print_lines(["", say("curve.written", page=drawn.page, result=drawn.result)])
