"""What is done with a run: proved, loaded, asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.api.heard import heard
from tunesmith.events.stream import Listener
from tunesmith.events.verbs import ProofBegun
from tunesmith.plain import JsonObject, Row
from tunesmith.settings.given import Overrides, speak
from tunesmith.settings.prove import prove_settings
from tunesmith.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.export.make import Exported, Progress
    from tunesmith.predicting.predictor import Predictor
    from tunesmith.proving.proof import Proof

AnyRun = RunFolder | str | Path


def prove(
    run: AnyRun,
    *,
    items: int | None = None,
    shots: int | None = None,
    prompt: str | None = None,
    data: str | None = None,
    against: Sequence[str] = (),
    suites: Sequence[str | Mapping[str, object]] = (),
    metrics: Sequence[str | Mapping[str, object]] = (),
    progress: Shown | None = None,
    listen: Sequence[Listener] = (),
) -> Proof:
    """Scores tuned, base and the cheap rivals on the proof rows, and says improved, worse or not
    shown; what was scored before an interruption is not scored again.

    ``prompt`` is a file with a hard prompt, under which the base is scored too. ``data`` is a file
    whose rows are asked instead; its proof goes to ``RUN/proofs/NAME``. ``against`` names more
    contenders: run folders, models, endpoints (``https://HOST/v1``). ``suites`` are asked besides,
    to see what was forgotten: ``probe``, ``safety``, ``rows=FILE``, ``text=FILE``,
    ``lm_eval=TASK.yaml``. ``metrics`` are told beside those of the run and decide nothing: names,
    ``metric.py:polite`` for a function of yours, or mappings with settings. Each of ``listen`` gets
    every event.
    """
    from tunesmith.proving.contest import Wanted, contest
    from tunesmith.teaching.contender import others_of

    folder = _folder(run)
    speak(folder.resolved().run)
    given = {"items": items, "shots": shots}
    prove_settings({name: value for name, value in given.items() if value is not None})
    with heard(progress, listen) as events:
        events(ProofBegun(folder.path))
        others = others_of(against, folder.resolved().run, events)
        return contest(folder, Wanted(items, shots, prompt, data, others, suites, metrics), events)


def export_run(
    run: AnyRun,
    out: str | Path,
    settings: Overrides = (),
    *,
    progress: Progress | None = None,
) -> Exported:
    """Writes the run's model to the new folder ``out``, in the format of ``settings`` or of the
    run, and measures whether it still is the trained one: ``ts.export_run(RUN, "out",
    ["format=gguf", "format.type=q8_0"])``.
    """
    from tunesmith.export.make import export
    from tunesmith.settings.export import export_settings

    folder = _folder(run)
    asked = folder.resolved().run
    speak(asked)
    return export(folder, Path(out), export_settings(asked.export, settings), progress=progress)


def load(run: AnyRun) -> Predictor:
    """Loads the tuned model of a run, ready to answer: ``ts.load(RUN).predict(rows)``."""
    from tunesmith.predicting.predictor import Predictor

    return Predictor(_folder(run))


def attach(model: Any, adapter: AnyRun) -> Any:
    """Attaches the adapter of a run, or of its ``model`` folder, to a transformers ``model``, ready
    to answer.

    The way to serve an adapter that does not fold into its base:
    ``ts.attach(AutoModelForCausalLM.from_pretrained(BASE), RUN)``.
    """
    from tunesmith.models.adapters.attach import attach

    folder = adapter if isinstance(adapter, RunFolder) else RunFolder(Path(adapter))
    return attach(model, folder.model if folder.run_yaml.is_file() else folder.path)


def predict(run: AnyRun, rows: Iterable[Row]) -> list[JsonObject]:
    """Returns the rows with an answer each, their other columns kept."""
    return load(run).predict(rows)


def _folder(run: AnyRun) -> RunFolder:
    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    folder.resolved()
    return folder
