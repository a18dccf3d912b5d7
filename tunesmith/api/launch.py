"""A run as a job of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.family import CLUSTERS
from tunesmith.settings.given import Settings, of_one_run, settings_of, speak
from tunesmith.settings.overrides import with_overrides
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.launching.launch import Launched


def launch(
    cluster: str,
    settings: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    submit: bool = False,
) -> Launched:
    """Writes the job that trains a run on a cluster (``slurm``, ``k8s``, ``ray``) to ``out``, and
    submits it where that is asked. The job continues what was stopped.

    ``settings`` is a run.yaml, ``overrides`` go over it; what the job asks for are those of
    ``launch.cluster``.
    """
    from tunesmith.launching.launch import launch as write

    run = settings_of(_on(cluster, {} if settings is None else settings, overrides))
    speak(run)
    asked = run.launch.cluster.name if run.launch is not None else cluster
    if asked != cluster:
        raise SpecError(
            Problem("launch.cluster", say("launch.other", asked=asked, cluster=cluster))
        )
    if CLUSTERS.get(cluster).shares_files:  # the job starts in another folder
        run = run.model_copy(update={"out": str(Path(run.out).absolute())})
    kept = [override for override in overrides if not override.startswith(("launch.", "out="))]
    words = [] if settings is None else [str(Path(settings).absolute())]
    words += [*kept, f"out={run.out}"]
    return write(run, words, out=None if out is None else Path(out), submit=submit)


def _on(cluster: str, settings: Settings, overrides: Sequence[str]) -> JsonObject:
    """Lays overrides over settings for the cluster of the verb: what the settings say of another is
    left out, and where ``launch.cluster`` has no name, it is that one's.
    """
    plain = with_overrides(of_one_run(settings), ())
    named = _asked(plain)
    if not isinstance(named, dict) or named.get("name", cluster) != cluster:
        plain = with_overrides(plain, {"launch.cluster": cluster})
    merged = with_overrides(plain, overrides)
    asked = _asked(merged)
    if isinstance(asked, dict):
        merged = with_overrides(merged, {"launch.cluster": {"name": cluster, **asked}})
    return merged


def _asked(settings: JsonObject) -> object:
    launched = settings.get("launch")
    return launched.get("cluster") if isinstance(launched, dict) else None
