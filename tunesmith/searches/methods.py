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
    found: dict[str, JsonObject] = {}
    for one in trials:
        drawn = {path: value for path, value in one["values"].items() if path in KEYS}
        name = label(with_values(run, drawn).method)
        found[name] = min(found.get(name, one), one, key=_place)
    if len(found) < 2:
        return []
    rows = sorted(found.items(), key=lambda item: _place(item[1]))
    return [{"method": name, "run": one["run"]} for name, one in rows]


def _place(one: JsonObject) -> tuple[bool, float, float]:
    failed = one["score"] is None
    return failed, -one["share"], 0.0 if failed else one["score"]
