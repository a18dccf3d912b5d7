"""From a resolved run to a trained model in its folder: everything is made ready before the folder
is touched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.ledger import changed_files
from tunesmith.data.prepare import Prepared
from tunesmith.display.progress import Shown
from tunesmith.errors import DiskError, Problem, SpecError
from tunesmith.machine.disk import disk_of
from tunesmith.machine.memory import GIB
from tunesmith.machine.parallel import Processes, join, told_by_all
from tunesmith.machine.signals import StopSignal
from tunesmith.models.loading.load import Loaded
from tunesmith.settings.resolved import Resolved
from tunesmith.storage.atomic import sweep, write_whole
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.evaluation.look import Looker
from tunesmith.training.evaluation.watch import Watch
from tunesmith.training.health import Falling, Spikes
from tunesmith.training.keeping.checkpoint import Checkpoints
from tunesmith.training.keeping.record import Line, Record
from tunesmith.training.keeping.save import Saver
from tunesmith.training.keeping.state import (
    Moments,
    State,
    Weights,
    base_fingerprint,
    identity,
    seed_everything,
    write,
)
from tunesmith.training.loop import fit
from tunesmith.training.ready import Ready, make_ready
from tunesmith.training.trackers import Trackers
from tunesmith.training.work import Position
from tunesmith.words import say


def train(
    resolved: Resolved,
    prepared: Prepared | None = None,
    *,
    resume: bool = False,
    on_step: Callable[[Line], None] | None = None,
    progress: Shown | None = None,
    plan: str | None = None,
    loaded: Loaded | None = None,
) -> RunFolder:
    """Trains what a plan resolved, or with ``resume`` goes on with what a folder did, and gives the
    run's folder.

    ``on_step`` gets the record's line of every step, ``plan`` is the text for plan.txt, ``loaded``
    the base where it is in memory already; it is changed. Stopped when a signal ended it; from the
    moment there is a folder to continue, signals are only noted until the loop can save.
    """
    folder = RunFolder(resolved.out)
    with told_by_all(), ExitStack() as stack:
        processes, signal = join(), StopSignal()
        if resume:
            processes.on_first(lambda: _refuse_busy(folder))
            stack.enter_context(signal)
        shown = (
            progress
            if progress is not None and processes.first
            else stack.enter_context(Shown(quiet=not processes.first))
        )
        ready = make_ready(resolved, prepared, shown, loaded)
        told = Told(processes, signal, shown, shown.tell if processes.first else _silent)
        for text in ready.first_lines:
            told.tell(text)
        if not resume:
            for text in ready.work.source.preview(ready.work.models):
                told.tell(text)
            stack.enter_context(signal)
        record = stack.enter_context(
            _opened(ready, folder, told, resume=resume, plan=plan, on_step=on_step)
        )
        course = _course(ready, folder, record, told, resume=resume)
        fit(
            ready.work,
            course.at,
            spikes=course.spikes,
            falling=course.falling,
            record=record,
            look=course.look,
            save=course.save,
            stopped=told.stopped,
            tell=told.tell,
            shown=told.shown if processes.first else _silent,
        )
        _leave(ready, folder, record, told, course)
    return folder


@dataclass(frozen=True)
class Told:
    """What a run hears and says."""

    processes: Processes
    signal: StopSignal
    shown: Shown
    tell: Callable[[str], None]

    def stopped(self) -> str | None:
        """The signal that asks the run to stop, whichever process got it; all ask together."""
        return self.processes.agreed(self.signal.received)


def _refuse_taken(folder: RunFolder) -> None:
    taken = folder.taken()
    if taken:
        raise SpecError(Problem("out", taken))


def _refuse_busy(folder: RunFolder) -> None:
    """Said before the rows are read; what holds the folder for this process comes with the first
    write.
    """
    if folder.busy:
        raise SpecError(Problem(str(folder.path), say("spec.folder_busy")))


@contextmanager
def _opened(
    ready: Ready,
    folder: RunFolder,
    told: Told,
    *,
    resume: bool,
    plan: str | None,
    on_step: Callable[[Line], None] | None,
) -> Iterator[Record]:
    """Holds the run's folder with its first files written, and gives the record that is open in
    it.
    """
    work, first = ready.work, told.processes.first
    with ExitStack() as stack:

        def open_folder() -> None:
            if not resume:
                _refuse_taken(folder)
            _check_disk(ready, folder)
            stack.enter_context(folder.held())
            _open_folder(ready, folder, plan=plan, resume=resume)

        told.processes.on_first(open_folder)
        trackers = Trackers(work.run.track if first else (), told.tell)
        trackers.start(folder.path, work.run.model_dump(mode="json"))
        record = Record(folder.record if first else None, trackers, on_step if first else None)
        stack.callback(record.close)
        yield record


@dataclass
class Course:
    """Where a run stands, and what it does on its way beside the steps."""

    at: Position
    spikes: Spikes
    falling: Falling
    look: Looker
    save: Saves


def _course(ready: Ready, folder: RunFolder, record: Record, told: Told, *, resume: bool) -> Course:
    """The run at its first step, or where its newest checkpoint stands."""
    work, device = ready.work, ready.work.device
    at, spikes, falling = Position(), Spikes(), Falling()
    parts: dict[str, Any] = {
        "weights": Weights(work.named),
        "optimizer": Moments(work.named, work.optimizer),
        "method": work.method,
        "source": work.source,
        "position": at,
        "spikes": spikes,
        "falling": falling,
        "best": ready.watch.best,
        "record": record,
    }
    if ready.reference is not None:
        parts["reference"] = ready.reference
    if device.scale is not None:
        parts["scale"] = device.scale
    whose = identity(
        work.run, ready.prepared.fingerprint, base_fingerprint(ready.base), work.micro_tokens
    )
    state = State(parts, device, identity=whose)
    checkpoints = Checkpoints(folder.checkpoints, work.run.train.keep.keep)
    seed_everything(work.run.train.seed, told.processes.rank)
    if resume:
        _resume(checkpoints, state, at, record, told.tell)
    look = _looker(ready, folder, record, told)
    save = Saves(checkpoints, state, look, told.tell, last=at.step if resume else None)
    return Course(at, spikes, falling, look, save)


def _looker(ready: Ready, folder: RunFolder, record: Record, told: Told) -> Looker:
    """The evaluations of the run, which save the best model and the last."""
    work = ready.work
    saver = Saver(
        work.model.model,
        ready.prepared.render,
        work.run,
        ready.base,
        work.method,
        outputs=work.objective.outputs,
        objective=work.objective,
        kept_head=work.model.kept_head,
    )
    return Looker(
        watch=ready.watch,
        questions=ready.questions,
        saver=saver,
        folder=folder,
        record=record,
        device=work.device,
        total=work.total,
        stopped=told.stopped,
        tell=told.tell,
    )


def _leave(ready: Ready, folder: RunFolder, record: Record, told: Told, course: Course) -> None:
    """Leaves the model in the folder, and says which step's it is."""
    method, at = ready.work.method, course.at
    left = course.look.leave(at.step)
    facts = method.at_end()
    if facts:
        record.add({"step": at.step, "event": "method", **facts})
        shown = json.dumps(facts, ensure_ascii=False)
        told.tell(say("train.method", method=ready.work.run.method.name, facts=shown))
    told.tell(_done(ready.watch, folder, left=left, last=at.step))


def _done(watch: Watch, folder: RunFolder, *, left: int, last: int) -> str:
    """Which step's weights the model holds, and where another's are."""
    best, by = watch.best.step, watch.best.keep.best_by
    if left != last:
        return say("train.done_best", model=folder.model, step=left, last=last, by=by)
    told = say("train.done", model=folder.model, step=last)
    return (
        told
        if best in (None, last)
        else told + say("train.done_apart", best=best, by=by, folder=folder.best)
    )


class Saves:
    """Saves checkpoints as the loop asks, each with the model as it stands; a disk that refuses is
    told and recorded, and training goes on.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        state: State,
        look: Looker,
        tell: Callable[[str], None],
        *,
        last: int | None,
    ) -> None:
        self.checkpoints, self.state, self.look, self.tell = checkpoints, state, look, tell
        self.last = last

    def __call__(self, step: int) -> bool:
        """Whether the state at ``step`` is safe on the disk."""
        if step == self.last:
            return True
        saver = self.look.fitted()
        files, facts = self.state.capture()

        def fill(folder: Path) -> None:
            write(folder, files, facts)
            (folder / "model").mkdir()
            saver.write(folder / "model", step)

        def save() -> bool:
            return self.checkpoints.save(step, fill)

        if not self.state.device.processes.on_first(save):
            self.look.record.add(
                {"step": step, "event": "checkpoint_failed", "error": self.checkpoints.last_error}
            )
            self.tell(say("train.checkpoint_failed", step=step, error=self.checkpoints.last_error))
            return False
        self.last = step
        return True


def _resume(
    checkpoints: Checkpoints,
    state: State,
    at: Position,
    record: Record,
    tell: Callable[[str], None],
) -> None:
    path = state.device.processes.on_first(lambda: checkpoints.newest(tell))
    if path is None:
        record.load_state({"bytes": 0})
        tell(say("train.no_checkpoint"))
        return
    for name, (then, now) in state.restore(path).items():
        tell(say("train.machine_differs", name=name, then=then, now=now))
    tell(say("train.resumed", step=at.step, path=path))
    if state.device.place.type == "cuda" and not state.device.exact:
        tell(say("train.not_exact"))


def _check_disk(ready: Ready, folder: RunFolder) -> None:
    """DiskError when the checkpoints, the best and the last model cannot fit."""
    work = ready.work
    trainable = sum(parameter.numel() for _, parameter in work.named)
    whole = sum(p.numel() * p.element_size() for p in work.model.model.parameters())
    disk = disk_of(trainable, 4 * trainable if work.method.adapter else whole, work.run)
    if disk.free < disk.needed:
        need, free = f"{disk.needed / GIB:.2f}", f"{disk.free / GIB:.2f}"
        raise DiskError(say("train.disk_too_small", place=folder.path, need=need, free=free))


def _open_folder(ready: Ready, folder: RunFolder, *, plan: str | None, resume: bool) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    if resume:
        _refuse_other_rows(ready.prepared, folder)
        sweep(folder.path)
    else:
        folder.begin(ready.resolved)
    if ready.reference is not None:
        ready.reference.write(folder.reference)
    if folder.ledger.exists():
        return
    ledger = ready.prepared.ledger
    facts = ledger.to_json() | {
        "fingerprint": ready.prepared.fingerprint,
        "split_seed": ready.prepared.seed,
    }
    if plan is not None:
        write_whole(folder.plan, plan)
    write_whole(
        folder.dropped,
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ledger.dropped),
    )
    # Last of these, so that a continuation writes what a killed start left out.
    write_whole(folder.ledger, json.dumps(facts, indent=1, ensure_ascii=False))


def _refuse_other_rows(prepared: Prepared, folder: RunFolder) -> None:
    """SpecError that names the files which changed since the run began."""
    if not folder.ledger.is_file():
        return
    then = folder.read(folder.ledger)
    if then.get("fingerprint") in (None, prepared.fingerprint):
        return
    changed = changed_files(then, prepared.ledger, written=folder.ledger.stat().st_mtime)
    listed = "\n".join(f"  {line}" for line in changed or [say("ledger.rows_differ")])
    raise SpecError(Problem("data", say("train.other_rows", changes=listed)))


def _silent(*_: object) -> None:
    """What ranks other than the first say."""
