"""``tunesmith hand-off``: a run on rewards for another toolkit."""

from __future__ import annotations

import os

from tunesmith.cli.options import AsJson, Lang, SettingsArgument, progress, quiet, tell
from tunesmith.cli.settings_line import settings_line
from tunesmith.errors import Problem, SpecError
from tunesmith.words import say


def hand_off(
    settings: SettingsArgument = None, as_json: AsJson = False, lang: Lang = "auto"
) -> None:
    """Writes a run for another toolkit."""
    from tunesmith import api

    words = list(settings or [])
    asked = dict(word.split("=", 1) for word in words if word.startswith(("to=", "out=")))
    lacking = [name for name in ("to", "out") if name not in asked]
    if lacking:
        raise SpecError([Problem(name, say("hand_off.what_to_where")) for name in lacking])
    words = [word for word in words if not word.startswith(("to=", "out="))]
    given: object
    if len(words) == 1 and os.path.isdir(words[0]):
        given = words[0]
        overrides = []
    else:
        given, overrides = settings_line(words, lang)
        # The run itself is not made: its own folder is that of what is written, unless a file says.
        given = {"out": asked["out"], **given} if isinstance(given, dict) else given
    with quiet(as_json), progress() as shown:
        done = api.hand_over(given, asked["to"], asked["out"], overrides, progress=shown)
    tell(done, as_json)
