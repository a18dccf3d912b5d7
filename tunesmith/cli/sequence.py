"""The verb that learns tasks one after the other and says what was kept of each."""

from __future__ import annotations

from tunesmith.cli.options import AsJson, Lang, Number, SettingsArgument, progress, quiet, tell
from tunesmith.cli.settings_line import settings_line


def sequence(
    settings: SettingsArgument = None,
    items: Number = None,
    as_json: AsJson = False,
    lang: Lang = "auto",
) -> None:
    """Trains tasks one after the other."""
    from tunesmith import api

    given, overrides = settings_line(settings or [], lang)
    with quiet(as_json), progress() as shown:
        learned = api.sequence(given, overrides, items=items, progress=shown)
    tell(learned, as_json)
