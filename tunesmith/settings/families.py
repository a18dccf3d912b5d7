"""The families by the path of the setting that names their plug-ins, for help and reference."""

from __future__ import annotations

from tunesmith.settings.family import (
    CLUSTERS,
    ENGINES,
    FORMATS,
    METHODS,
    METRICS,
    OBJECTIVES,
    OPTIMIZERS,
    PLACES,
    PRUNERS,
    READERS,
    REWARDS,
    SCHEDULES,
    SOURCES,
    SUITES,
    TRACKERS,
    TRANSFORMS,
    Family,
)

FAMILIES: dict[str, Family] = {
    "objective": OBJECTIVES,
    "method": METHODS,
    "train.optimizer": OPTIMIZERS,
    "train.schedule": SCHEDULES,
    "source": SOURCES,
    "track": TRACKERS,
    "reader": READERS,
    "metric": METRICS,
    "rewards": REWARDS,
    "transform": TRANSFORMS,
    "suite": SUITES,
    "export.format": FORMATS,
    "prune.how": PRUNERS,
    "search.engine": ENGINES,
    "search.place": PLACES,
    "launch.cluster": CLUSTERS,
}
"""Families by the path of their setting; readers, metrics, rewards, transforms and suites are named
in several settings and listed by their own name.
"""
UNDER_OTHER_NAMES = ("reader", "metric", "rewards", "transform", "suite")
ALIASES = {
    "optimizers": "train.optimizer",
    "schedules": "train.schedule",
    "tracker": "track",
    "metrics": "metric",
    "readers": "reader",
    "methods": "method",
    "objectives": "objective",
    "trackers": "track",
    "optimizer": "train.optimizer",
    "schedule": "train.schedule",
    "data.reader": "reader",
    "prove.metrics": "metric",
    "source.rewards": "rewards",
    "data.steps": "transform",
    "transforms": "transform",
    "prove.suites": "suite",
    "suites": "suite",
    "format": "export.format",
    "formats": "export.format",
    "how": "prune.how",
    "pruner": "prune.how",
    "pruners": "prune.how",
    "cluster": "launch.cluster",
    "clusters": "launch.cluster",
    "engine": "search.engine",
    "engines": "search.engine",
    "place": "search.place",
    "places": "search.place",
}


def own_settings_called(name: str) -> list[str]:
    """Returns the paths at which a plug-in has a setting of its own with this name."""
    return [
        f"{path}.{name}"
        for path, family in FAMILIES.items()
        if path not in UNDER_OTHER_NAMES
        and any(name in family.get(plugin).Config.model_fields for plugin in family.names())
    ]
