"""The proof of a run over several trainings of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.api.results import AnyRun, prove
from tunesmith.api.training import train
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Listener, opened
from tunesmith.planning.processes import refuse_several
from tunesmith.settings.given import speak
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.proving.proof import Proof


def prove_seeds(
    run: AnyRun,
    seeds: int = 3,
    *,
    progress: Shown | None = None,
    listen: Sequence[Listener] = (),
    **wanted: int | str | Sequence[str | Mapping[str, object]] | None,
) -> Proof:
    """Proves a run as ``prove`` does, whose options it takes, trains it by ``seeds - 1`` more seeds
    in ``RUN/seeds``, and separates the spread between trainings from that between items; what is
    done already is not done again.
    """
    from tunesmith.curves.seeds import Steps, prove_by_seeds
    from tunesmith.display.progress import Shown

    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    settled = folder.resolved().run
    speak(settled)
    refuse_several(settled)
    if seeds < 2:
        raise SpecError(Problem("seeds", say("spec.greater_than_equal", ge=2)))
    if wanted.get("data") is not None:
        raise SpecError(Problem("seeds", say("trainings.not_of_a_file")))
    with Shown(quiet=True) if progress is None else nullcontext(progress) as shown:
        options = {"progress": shown, "listen": listen}
        again = {name: wanted[name] for name in ("items", "metrics") if wanted.get(name)}
        steps = Steps(
            train=lambda run_of_seed: train(run_of_seed, on_plan=lambda _: None, **options),
            resume=lambda started: train(started, resume=True, **options),
            prove=lambda trained: prove(trained, **wanted, **options),
            prove_again=lambda trained: prove(trained, shots=0, **again, **options),
        )
        with opened(shown.hear, *listen) as events:
            return prove_by_seeds(folder, seeds, steps, events)
