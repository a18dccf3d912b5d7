"""The verbs that train: one run, the stages of a file, methods against each other; and a teacher's
answers, which rows are made of.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.api.before_training import plan
from tunesmith.api.heard import heard
from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.events.run import Ended, Planned, Reported, on_steps
from tunesmith.events.stream import Events, Listener, opened
from tunesmith.machine.ranks import started_by_another
from tunesmith.plain import JsonObject, Named
from tunesmith.planning.paths import refuse_absent
from tunesmith.planning.processes import refuse_several
from tunesmith.settings.given import (
    Overrides,
    Settings,
    given,
    refuse_peer,
    settings_of,
    speak,
)
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.planning.plan import Plan
    from tunesmith.settings.resolved import Resolved
    from tunesmith.teaching.write import Account
    from tunesmith.tournaments.play import Played


def train(
    settings: Settings | RunFolder,
    overrides: Overrides = (),
    *,
    on_step: Callable[[JsonObject], None] | None = None,
    resume: bool = False,
    progress: Shown | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    listen: Sequence[Listener] = (),
) -> RunFolder:
    """Trains and returns the run's folder; with ``resume``, ``settings`` is the folder of a run
    that was stopped.

    ``on_step`` gets the record's line of each step; ``on_plan`` the plan before anything is
    written; each of ``listen`` every event of the run (``tunesmith.events``).
    """
    with _console(progress) as shown, _stream(shown, on_step, listen) as events:
        try:
            prepared = text = resumed = None
            with _as_one():
                if resume:
                    resumed, resolved = _resumed(settings, overrides)
                else:
                    made = _planned(settings, overrides, events, on_plan)
                    resolved, prepared = made.resolved, made.prepared
                    text = "\n".join(made.lines()) + "\n"
            from tunesmith.training.start import train as start

            run = start(resolved, prepared, resume=resume, events=events, plan=text)
        except TunesmithError as error:
            events(Ended(str(error)))
            raise
        if _first():
            _report(resumed or run, events)
    return run


def rlhf(
    settings: str | Path | Named,
    overrides: Overrides = (),
    *,
    progress: Shown | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    listen: Sequence[Listener] = (),
) -> list[RunFolder]:
    """Trains the stages of a file one after the other, each on the model of its parent; called
    again, it continues.

    ``overrides`` hold for every stage, but ``stages.0.train.steps=2`` for the first alone. All
    stages are planned before the first is trained; ``on_plan`` gets the plan of each as it begins,
    each of
    ``listen`` every event.
    """
    from tunesmith.planning.stages import go, stages_of

    plain = given(settings)
    refuse_peer(plain)

    with _console(progress) as shown, opened(shown.hear, *listen) as events:

        def run(one: Run | str, *, resume: bool = False) -> RunFolder:
            return train(one, resume=resume, progress=shown, on_plan=on_plan, listen=listen)

        return go(stages_of(plain, overrides), run, lambda stage: plan(stage).require(), events)


def tournament(
    settings: Settings,
    overrides: Overrides = (),
    *,
    quiet: bool = False,
    listen: Sequence[Listener] = (),
) -> Played:
    """Compares the methods of ``tournament.methods`` on the same rows; what its folder holds
    already is not done again. Each of ``listen`` gets every event.
    """
    run = settings_of(settings, overrides)
    speak(run)
    refuse_several(run)
    refuse_absent(run)
    from tunesmith.tournaments.play import play

    return play(run, quiet=quiet, listen=listen)


def generate(
    settings: Settings,
    overrides: Overrides = (),
    *,
    progress: Shown | None = None,
    listen: Sequence[Listener] = (),
) -> Account:
    """Writes ``out``: the rows of ``data`` with the answers of ``model``, a teacher here or behind
    an endpoint.

    Called again after it was stopped, it asks only what has no answer yet. Each of ``listen`` gets
    every event.
    """
    run = settings_of(settings, overrides)
    speak(run)
    from tunesmith.teaching.write import write

    with heard(progress, listen) as events:
        return write(run, events)


def _console(progress: Shown | None) -> AbstractContextManager[Shown]:
    """Returns the display that the caller has opened, or a new one for this run."""
    from tunesmith.display.progress import Shown

    return nullcontext(progress) if progress is not None else Shown(quiet=not _first())


def _stream(
    shown: Shown, on_step: Callable[[JsonObject], None] | None, listen: Sequence[Listener]
) -> AbstractContextManager[Events]:
    """Opens the stream of a training. Of several processes the first one speaks."""
    if not _first():
        return opened()
    return opened(*([on_steps(on_step)] if on_step is not None else []), shown.hear, *listen)


@contextmanager
def _as_one() -> Iterator[None]:
    """Lets what one of several processes finds wrong before training, such as a file that its
    machine lacks, be told by all.
    """
    if not started_by_another():
        yield
        return
    from tunesmith.machine.parallel import join, told_by_all

    with told_by_all():
        join()
        yield


def _first() -> bool:
    """Tells whether this is the only process, or the first of those that torchrun started."""
    return int(os.environ.get("RANK", 0)) == 0


def _resumed(settings: Settings | RunFolder, overrides: Overrides) -> tuple[RunFolder, Resolved]:
    """Returns the folder of a run that was stopped, and its settings."""
    if not isinstance(settings, str | Path | RunFolder) or overrides:
        raise SpecError(say("cli.resume_takes_folder"))
    folder = settings if isinstance(settings, RunFolder) else RunFolder(Path(settings))
    resolved = folder.resolved()
    # The folder may have been moved since.
    resolved = replace(resolved, run=resolved.run.model_copy(update={"out": str(folder.path)}))
    speak(resolved.run)
    return folder, resolved


def _planned(
    settings: Settings | RunFolder,
    overrides: Overrides,
    events: Events,
    on_plan: Callable[[Plan], None] | None,
) -> Plan:
    """Makes the plan of a run, which must have no problem; reports its warnings where the caller
    did not ask for the plan.
    """
    if isinstance(settings, RunFolder):
        raise SpecError(Problem(str(settings.path), say("cli.is_folder", folder=settings.path)))
    asked = settings_of(settings, overrides)
    speak(asked)
    if not started_by_another():
        refuse_several(asked)
    RunFolder(Path(asked.out)).refuse_taken()  # before the rows are read, which may take minutes
    from tunesmith.planning.make import make

    made = make(asked, early=True, progress=events.phase).require()
    events(Planned(made))
    if on_plan is not None:
        on_plan(made)
    else:
        for text in made.warnings:
            events.tell(say("plan.warning", text=text))
    return made


def _report(run: RunFolder, events: Events) -> None:
    """Writes the page and the picture of a run that has ended; a full disk costs the run
    nothing.
    """
    from tunesmith.report.build import build

    try:
        build(run)
    except TunesmithError as error:
        events.tell(str(error))
    else:
        events(Reported(run.report, run.loss_curve))
