"""A model made lighter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.families import own_settings_called
from tunesmith.settings.given import Overrides, given, refuse_peer, settings_of, speak
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.prune import Prune
from tunesmith.settings.run import Run, validate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.pruning.make import Pruned


def prune(
    model: str | Path | Mapping[str, object] | Run | RunFolder,
    out: str | Path,
    settings: Overrides = (),
    *,
    progress: Shown | None = None,
) -> Pruned:
    """Takes parts out of a model and writes the rest to the new folder ``out``, with what it can
    and costs before and after: ``ts.prune(RUN, "light", ["how=channels", "share=0.25"])``.

    ``model`` is a finished run, whose model is pruned on its own training rows; settings, whose
    ``model`` is pruned on the rows of their ``data``; or a model by name, beside ``data=FILE``.
    """
    from tunesmith.pruning.make import prune as make

    run = _asked(model, Path(out), settings)
    speak(run)
    return make(run, Path(out), progress=progress)


def _asked(model: object, out: Path, settings: Overrides) -> Run:
    """Returns the run whose model is pruned; ``out`` is its folder where it has none yet."""
    settings = _under_prune(settings)
    folder = model if isinstance(model, RunFolder) else None
    if isinstance(model, str | Path) and RunFolder(Path(model)).run_yaml.is_file():
        folder = RunFolder(Path(model))
    if folder is not None:
        settings_of_run = folder.resolved().run.model_dump()
        settings_of_run |= {"model": str(folder.path), "out": str(folder.path)}
        return validate(with_overrides(settings_of_run, settings))
    plain: JsonObject = {"out": str(out)}
    if isinstance(model, Mapping | Run):
        plain |= given(model)
    elif Path(str(model)).suffix in (".yaml", ".yml"):
        plain |= given(str(model))
    else:
        plain["model"] = str(model)
    refuse_peer(plain)
    return settings_of(plain, settings)


def _under_prune(settings: Overrides) -> Overrides:
    """Writes ``how=…`` as ``prune.how=…``, and so on for the settings of ``prune``; raises
    SpecError for a setting of a pruner that stands without ``how.``.
    """
    names = tuple(Prune.model_fields)

    def whole(text: str) -> str:
        name = text.partition("=")[0]
        if name.partition(".")[0] in names:
            return f"prune.{text}"
        if name not in Run.model_fields and "prune.how." + name in own_settings_called(name):
            raise SpecError(Problem(name, say("spec.stands_at", names=f"how.{name}")))
        return text

    if isinstance(settings, Mapping):
        return {whole(key): value for key, value in settings.items()}
    return [whole(text) for text in settings]
