"""The verb that makes the best of a file within a budget."""

from __future__ import annotations

from tunesmith.cli.options import AsJson, Lang, SettingsArgument, print_lines, quiet, tell
from tunesmith.cli.settings_line import settings_line
from tunesmith.errors import Problem, SpecError
from tunesmith.words import say

OWN = ("budget", "memory", "goal")
"""What the verb itself is asked; all else are settings of a run."""


def auto(settings: SettingsArgument = None, as_json: AsJson = False, lang: Lang = "auto") -> None:
    """Searches, trains and proves within a budget."""
    from tunesmith import api

    words = settings or []
    pairs = [word.partition("=") for word in words]
    of_verb = {name: value for name, _, value in pairs if name in OWN}
    if not of_verb.get("budget"):
        raise SpecError(Problem("budget", say("auto.no_budget")))
    rest = [word for word in words if word.partition("=")[0] not in OWN]
    given, overrides = settings_line(rest or ["out=runs/auto"], lang)
    asked = {
        "budget": of_verb["budget"],
        "memory": of_verb.get("memory"),
        "goal": of_verb.get("goal"),
    }
    with quiet(as_json):
        best_run = api.auto(given, overrides, **asked)
    tell(best_run, as_json)
    if not as_json:
        print_lines(["", say("search.use", run=best_run.best.path)])
