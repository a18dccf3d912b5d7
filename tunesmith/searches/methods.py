"""Which methods a search tried, and the best trial of each."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.plain import JsonObject
from tunesmith.searches.spaces import with_values
from tunesmith.settings.run import Run
from tunesmith.settings.tournament import label

KEYS = ("method", "method.name")


def by_method(run: Run, trials: Sequence[JsonObject]) -> list[JsonObject]:
    """Returns each ``method`` and the ``run`` of its best trial, among those that were trained
    longest; the longest trained first, then by score. Nothing where there is one method.
    """
    best_of: dict[str, JsonObject] = {}
    for trial in trials:
        drawn = {path: value for path, value in trial["values"].items() if path in KEYS}
        name = label(with_values(run, drawn).method)
        best_of[name] = min(best_of.get(name, trial), trial, key=_place)
    if len(best_of) < 2:
        return []
    rows = sorted(best_of.items(), key=lambda item: _place(item[1]))
    return [{"method": name, "run": trial["run"]} for name, trial in rows]


def _place(one: JsonObject) -> tuple[bool, float, float]:
    failed = one["score"] is None
    return failed, -one["share"], 0.0 if failed else one["score"]
