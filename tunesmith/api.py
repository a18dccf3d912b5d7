"""One function for each verb, for Python and for the command line alike.

``import tunesmith as ts; run = ts.train("run.yaml", ["train.epochs=1"], on_step=print);
ts.prove(run)``
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.events.run import Ended, Planned, Reported, on_steps
from tunesmith.events.stream import Events, Listener
from tunesmith.events.verbs import ProofBegun
from tunesmith.plain import JsonObject, Named, Row
from tunesmith.settings.given import (
    Overrides,
    Settings,
    given,
    look_settings,
    refuse_peer,
    settings_of,
    speak,
)
from tunesmith.settings.run import Run
from tunesmith.settings.settle import with_value
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.check import Check
    from tunesmith.diagnosis.overfit import Overfit
    from tunesmith.display.progress import Shown
    from tunesmith.planning.plan import Plan
    from tunesmith.predicting.predictor import Predictor
    from tunesmith.proving.proof import Proof
    from tunesmith.settings.explain import HelpPage
    from tunesmith.settings.resolved import Resolved
    from tunesmith.teaching.write import Account
    from tunesmith.tournaments.play import Played

AnyRun = RunFolder | str | Path


def check(settings: Settings, overrides: Overrides = (), *, progress: Shown | None = None) -> Check:
    """Reads, renders and splits the data, and says where every row went; needs the model's
    tokenizer only.
    """
    from tunesmith.data.check import check as look
    from tunesmith.data.find import held_part
    from tunesmith.models.finding.hub import folder_of
    from tunesmith.models.loading.tokenizer import load_tokenizer

    run = look_settings(settings, overrides)
    part = held_part(run.data.path) if isinstance(run.data.path, str) else None
    if part is not None and "held_out" not in run.data.model_fields_set:
        run = with_value(run, ["data", "held_out"], part)
    folder = folder_of(run.model)
    tokenizer = load_tokenizer(
        folder, trust_remote_code=run.model.trust_remote_code, add_tokens=run.model.add_tokens
    )
    return look(run, tokenizer, progress=progress)


def overfit(
    settings: Settings, overrides: Overrides = (), *, progress: Shown | None = None
) -> Overfit:
    """Learns four of the rows by heart and asks for them: whether rows, template, training and
    answers fit each other. Nothing is left on the disk.
    """
    from tunesmith.diagnosis.overfit import CHANGES
    from tunesmith.diagnosis.overfit import overfit as learn

    with tempfile.TemporaryDirectory(prefix="tunesmith-") as place:
        plain = {"model": "starter", **given(settings)}
        run = settings_of(plain, [*overrides, *CHANGES, f"out={place}/run"])
        speak(run)
        return learn(run, progress=progress)


def plan(
    settings: Settings,
    overrides: Overrides = (),
    *,
    probe: bool = False,
    progress: Shown | None = None,
) -> Plan:
    """Plans what would run, with every value's origin and every problem; writes nothing."""
    from tunesmith.planning.make import make

    run = settings_of(settings, overrides)
    speak(run)
    return make(run, probe=probe, progress=progress)


def plan_stages(
    settings: Settings,
    overrides: Overrides = (),
    *,
    probe: bool = False,
    progress: Shown | None = None,
) -> list[tuple[str, Plan]] | None:
    """Plans each stage of a file for ``rlhf`` that was not begun, by its name; None where the file
    has no stages.
    """
    from tunesmith.planning.make import make
    from tunesmith.planning.stages import plans, stages_of

    plain = given(settings)
    if "stages" not in plain:
        return None
    stages = stages_of(plain, overrides)
    return plans(stages, lambda run: make(run, probe=probe, progress=progress))


def train(
    settings: Settings,
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
    with _console(progress) as shown:
        steps = [on_steps(on_step)] if on_step is not None else []
        # Of several processes the first one speaks.
        events = Events(*steps, shown.hear, *listen) if _first() else Events()
        try:
            prepared = text = known = None
            if resume:
                known, resolved = _resumed(settings, overrides)
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
            _report(known or run, events)
    return run


def _console(progress: Shown | None) -> AbstractContextManager[Shown]:
    """Returns the display that the caller has opened, or a new one for this run."""
    from tunesmith.display.progress import Shown

    return nullcontext(progress) if progress is not None else Shown(quiet=not _first())


def _heard(progress: Shown | None, listen: Sequence[Listener]) -> Events:
    """Makes the stream of a verb, which the display that the caller has opened hears first."""
    return Events(*([progress.hear] if progress is not None else []), *listen)


def _first() -> bool:
    """Tells whether this is the only process, or the first of those that torchrun started."""
    return int(os.environ.get("RANK", 0)) == 0


def _resumed(settings: Settings, overrides: Overrides) -> tuple[RunFolder, Resolved]:
    """Returns the folder of a run that was stopped, and its settings."""
    if not isinstance(settings, str | Path) or overrides:
        raise SpecError(say("cli.resume_takes_folder"))
    folder = RunFolder(Path(settings))
    resolved = folder.resolved()
    # The folder may have been moved since.
    resolved = replace(resolved, run=resolved.run.model_copy(update={"out": str(settings)}))
    speak(resolved.run)
    return folder, resolved


def _planned(
    settings: Settings,
    overrides: Overrides,
    events: Events,
    on_plan: Callable[[Plan], None] | None,
) -> Plan:
    """Makes the plan of a run, which must have no problem; reports its warnings where the caller
    did not ask for the plan.
    """
    asked = settings_of(settings, overrides)
    speak(asked)
    taken = RunFolder(Path(asked.out)).taken()
    if taken:  # said before the rows are read, which may take minutes
        raise SpecError(Problem("out", taken))
    from tunesmith.planning.make import make

    made = make(asked, progress=events.phase).require()
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
    ``listen`` the events of each.
    """
    from tunesmith.planning.stages import go, stages_of

    plain = given(settings)
    refuse_peer(plain)

    def run(one: Run | str, *, resume: bool = False) -> RunFolder:
        return train(one, resume=resume, progress=progress, on_plan=on_plan, listen=listen)

    tell = progress.tell if progress is not None else print
    return go(stages_of(plain, overrides), run, lambda one: (plan(one).require(), None)[1], tell)


def prove(
    run: AnyRun,
    *,
    items: int | None = None,
    shots: int | None = None,
    prompt: str | None = None,
    data: str | None = None,
    against: Sequence[str] = (),
    suites: Sequence[str | Mapping[str, object]] = (),
    progress: Shown | None = None,
    listen: Sequence[Listener] = (),
) -> Proof:
    """Scores tuned, base and the cheap rivals on the proof rows, and says improved, worse or not
    shown; what was scored before an interruption is not scored again.

    ``prompt`` is a file with a hard prompt, under which the base is scored too. ``data`` is a file
    whose rows are asked instead; its proof goes to ``RUN/proofs/NAME``. ``against`` names more
    contenders: run folders, models, endpoints (``https://HOST/v1``). ``suites`` are asked besides,
    to see what was forgotten: ``probe``, ``safety``, ``rows=FILE``, ``text=FILE``. Each of
    ``listen`` gets every event.
    """
    from tunesmith.proving.contest import Wanted, contest
    from tunesmith.teaching.contender import others_of

    folder = _folder(run)
    speak(folder.resolved().run)
    if items is not None and items < 1:
        raise SpecError(Problem("items", say("spec.greater_than_equal", ge=1)))
    events = _heard(progress, listen)
    events(ProofBegun(folder.path))
    others = others_of(against, folder.resolved().run, events)
    return contest(folder, Wanted(items, shots, prompt, data, others, suites), events)


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

    return write(run, _heard(progress, listen))


def explain(path: str = "") -> list[HelpPage]:
    """Returns the help for a setting, a group of settings, a plug-in or a family of plug-ins, by
    its dotted path; without one, for all settings.
    """
    from tunesmith.settings.explain import explain as pages

    return pages(path)


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
