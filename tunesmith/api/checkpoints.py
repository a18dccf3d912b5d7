"""The proofs of a run's checkpoints, as one curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.api.heard import heard
from tunesmith.api.results import AnyRun
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Listener
from tunesmith.events.verbs import ProofBegun
from tunesmith.settings.given import speak
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.proving.checkpoints import Checkpoints


def prove_checkpoints(
    run: AnyRun,
    *,
    items: int | None = None,
    suites: Sequence[str | Mapping[str, object]] = (),
    progress: Shown | None = None,
    listen: Sequence[Listener] = (),
) -> Checkpoints:
    """Proves every checkpoint of a run and the model that it left, on the same rows and suites, and
    writes RUN/checkpoints.json; the base is asked once. Each proof of a checkpoint lies in
    ``RUN/proofs/step-N``.
    """
    from tunesmith.proving.checkpoints import put_together, steps_to_prove
    from tunesmith.proving.contest import Wanted, contest
    from tunesmith.proving.interrupted import Kept

    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    speak(folder.resolved().run)
    models = steps_to_prove(folder)
    if len(models) < 2:
        text = say("checkpoints.too_few", folder=folder.path, steps=", ".join(map(str, models)))
        raise SpecError(Problem("--checkpoints", text))
    kept = Kept(folder.path / "proofs" / "scoring.jsonl")
    wanted = Wanted(items, 0, suites=suites)
    proofs = {}
    with heard(progress, listen) as events:
        for step, model in models.items():
            events(ProofBegun(folder.path))
            events.tell(say("checkpoints.proving", step=step))
            proofs[step] = contest(model, wanted, events, kept=kept).found
    made = put_together(folder, proofs)
    kept.done()
    return made
