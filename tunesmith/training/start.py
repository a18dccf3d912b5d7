"""From a resolved run to a trained model in its folder: everything is made ready before the folder
is touched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.ledger import changed_files
from tunesmith.data.prepare import Prepared
from tunesmith.errors import DiskError, Problem, SpecError
from tunesmith.events.run import Began, CheckpointFailed, Done, MethodEnded, Resumed
from tunesmith.events.stream import Events
from tunesmith.machine.disk import disk_of
from tunesmith.machine.memory import GIB
from tunesmith.machine.parallel import join, told_by_all
from tunesmith.machine.signals import StopSignal
from tunesmith.models.loading.load import Loaded
from tunesmith.plain import JsonObject
from tunesmith.settings.resolved import Resolved
from tunesmith.storage.atomic import sweep, write_whole
from tunesmith.storage.process import named_in
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.evaluation.evaluator import Evaluator
from tunesmith.training.health import Falling, Rule, Spikes
from tunesmith.training.keeping.checkpoint import Checkpoints
from tunesmith.training.keeping.record import Record
from tunesmith.training.keeping.save import Saver
from tunesmith.training.keeping.state import (
    Moments,
    State,
    Weights,
    base_fingerprint,
    identity,
    seed_everything,
)
from tunesmith.training.loop import fit
from tunesmith.training.preparing import Ready, make_ready
from tunesmith.training.sampled_health import SampledHealth
from tunesmith.training.trackers import Trackers
from tunesmith.training.watched_health import WatchedHealth
from tunesmith.training.work import Position
from tunesmith.words import say


def train(
    resolved: Resolved,
    prepared: Prepared | None = None,
    *,
    resume: bool = False,
    events: Events | None = None,
    plan: str | None = None,
    loaded: Loaded | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> RunFolder:
    """Trains what a plan resolved, or with ``resume`` goes on with what a folder did, and gives the
    run's folder.

    Whoever listens to ``events`` hears what happens; of several processes, the first one's alone.
    ``plan`` is the text for plan.txt, ``loaded`` the base where it is in memory already; it is
    changed. ``enough`` is asked before each step, by a process that trains alone, and True ends the
    run there. Stopped when a signal ended it; from the moment there is a folder to continue,
    signals are only noted until the loop can save.
    """
    folder = RunFolder(resolved.out)
    with told_by_all(), ExitStack() as stack:
        processes, signal = join(), StopSignal()
        if events is None or not processes.first:
            events = Events()
        if resume:
            processes.on_first(lambda: _refuse_busy(folder))
            stack.enter_context(signal)
        ready = make_ready(resolved, prepared, events, loaded)
        stack.callback(ready.work.source.close)
        if not resume:
            for text in ready.work.source.preview(ready.work.models):
                events.tell(text)
            stack.enter_context(signal)

        def stopped() -> str | None:
            """Returns the signal that asks the run to stop, whichever process received it; all
            processes ask together.
            """
            return processes.agreed(signal.received)

        record = stack.enter_context(_opened(ready, folder, resume=resume, plan=plan))
        if processes.first and signal.heard:
            stack.enter_context(named_in(folder.path))
        course = _course(ready, folder, record, stopped, resume=resume)
        settings = ready.work.run.model_dump(mode="json")
        events(Began(folder.path, course.at.step, ready.work.total, settings))
        fit(
            ready.work,
            course.at,
            rules=course.rules,
            look=course.look,
            save=course.save,
            stopped=stopped,
            enough=enough,
        )
        _leave(ready, folder, course)
    return folder


def _refuse_busy(folder: RunFolder) -> None:
    """Raises SpecError where another process holds the folder, before the rows are read; this
    process takes it with the first write.
    """
    if folder.busy:
        raise SpecError(Problem(str(folder.path), say("spec.folder_busy")))


@contextmanager
def _opened(ready: Ready, folder: RunFolder, *, resume: bool, plan: str | None) -> Iterator[Record]:
    """Holds the run's folder with its first files written, and yields the record that is open in
    it. Record and trackers listen first: whoever hears a step then finds it in the folder.
    """
    work, first = ready.work, ready.work.device.processes.first
    with ExitStack() as stack:

        def open_folder() -> None:
            if not resume:
                folder.refuse_taken()  # once more: another process may have begun meanwhile
            _check_disk(ready, folder)
            stack.enter_context(folder.held())
            _open_folder(ready, folder, plan=plan, resume=resume)

        work.device.processes.on_first(open_folder)
        record = Record(folder.record if first else None)
        stack.callback(record.close)
        trackers = Trackers(work.run.track if first else (), work.events)
        stack.callback(trackers.finish)
        health = WatchedHealth(folder, record, work.events)
        listeners = (record.hear, trackers.hear, health.hear)
        stack.enter_context(work.events.heard_first_by(*listeners))
        yield record


@dataclass
class Course:
    """Where a run stands, and what it does on its way beside the steps."""

    at: Position
    rules: list[Rule]
    look: Evaluator
    save: Saves


def _course(
    ready: Ready,
    folder: RunFolder,
    record: Record,
    stopped: Callable[[], str | None],
    *,
    resume: bool,
) -> Course:
    """Puts the run at its first step, or where its newest checkpoint is."""
    work, device = ready.work, ready.work.device
    at = Position()
    spikes = Spikes()
    falling = Falling()
    sampled = SampledHealth()
    parts: JsonObject = {
        "weights": Weights(work.named),
        "optimizer": Moments(work.named, work.optimizer),
        "method": work.method,
        "source": work.source,
        "position": at,
        "spikes": spikes,
        "falling": falling,
        "sampled": sampled,
        "best": ready.watch.best,
        "record": record,
    }
    if ready.reference is not None:
        parts["reference"] = ready.reference
    if ready.fisher is not None:
        parts["fisher"] = ready.fisher
    if device.scale is not None:
        parts["scale"] = device.scale
    whose = identity(
        work.run, ready.prepared.all_rows, base_fingerprint(ready.base), work.micro_tokens
    )
    state = State(
        parts,
        device,
        identity=whose,
        weights=dict(work.named),
        # An adapter is small, and one file of it is read by everything.
        in_shards=device.divided and not work.method.adapter,
    )
    checkpoints = Checkpoints(folder.checkpoints, work.run.train.keep.keep, device.processes)
    if state.in_shards or (resume and device.processes.several):
        checkpoints.refuse_folders_apart()
    seed_everything(work.run.train.seed, device.processes.share[0])
    if resume:
        _resume(checkpoints, state, at, record, work.events, total=work.total)
    look = _evaluator(ready, folder, record, stopped)
    save = Saves(checkpoints, state, look, last=at.step if resume else None)
    return Course(at, [spikes, falling, sampled], look, save)


def _evaluator(
    ready: Ready, folder: RunFolder, record: Record, stopped: Callable[[], str | None]
) -> Evaluator:
    """Makes the evaluations of the run, which save the best model and the last."""
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
    return Evaluator(
        watch=ready.watch,
        questions=ready.questions,
        saver=saver,
        folder=folder,
        record=record,
        device=work.device,
        total=work.total,
        stopped=stopped,
        events=work.events,
        few=bool(ready.prepared.watch) and not ready.prepared.choosing,
    )


def _leave(ready: Ready, folder: RunFolder, course: Course) -> None:
    """Leaves the model in the folder, and says which step's it is."""
    work, last, best = ready.work, course.at.step, ready.watch.best
    left = course.look.leave(last)
    facts = work.method.at_end()
    if facts:
        work.events(MethodEnded(last, work.run.method.name, facts))
    work.events(Done(folder.model, left, last, best.keep.best_by, best.step, folder.best))


class Saves:
    """The checkpoints of a run, each with the current model; a disk that refuses is reported and
    recorded, and training goes on.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        state: State,
        look: Evaluator,
        *,
        last: int | None,
    ) -> None:
        self.checkpoints, self.state, self.look, self.last = checkpoints, state, look, last

    def __call__(self, step: int) -> bool:
        """Saves a checkpoint; tells whether the state at ``step`` is safe on the disk."""
        if step == self.last:
            return True
        saver, processes = self.look.for_checkpoint(step), self.state.device.processes
        captured = self.state.capture()
        with ExitStack() as stack:

            def fill(folder: Path) -> None:
                captured.write(folder)
                (folder / "model").mkdir()
                whole.write(folder / "model", step)

            def fill_own(folder: Path) -> list[Path]:
                nonlocal whole
                whole = stack.enter_context(self.look.with_weights(saver))
                return captured.write_shards(folder, processes)

            whole = saver
            done = self.checkpoints.save(step, fill, fill_own)
        if not done:
            self.look.events(CheckpointFailed(step, self.checkpoints.last_error))
            return False
        self.last = step
        return True


def _resume(
    checkpoints: Checkpoints,
    state: State,
    at: Position,
    record: Record,
    events: Events,
    *,
    total: int,
) -> None:
    path = state.device.processes.on_first(lambda: checkpoints.newest(events.tell))
    if path is None:
        record.load_state({"bytes": 0})
        events.tell(say("train.no_checkpoint"))
        return
    for name, (then, now) in state.restore(path).items():
        events.tell(say("train.machine_differs", name=name, then=then, now=now))
    if at.step >= total:
        events.tell(say("train.nothing_left", total=total))
    events(Resumed(at.step, path))
    if state.device.place.type == "cuda" and not state.device.exact:
        events.tell(say("train.not_exact"))


def _check_disk(ready: Ready, folder: RunFolder) -> None:
    """Raises DiskError when the checkpoints, the best and the last model cannot fit."""
    work = ready.work
    trainable = sum(parameter.numel() for _, parameter in work.named)
    whole = sum(p.numel() * p.element_size() for p in work.model.model.parameters())
    disk = disk_of(trainable, 4 * trainable if work.method.adapter else whole, work.run)
    if disk.free < disk.needed:
        need = f"{disk.needed / GIB:.2f}"
        free = f"{disk.free / GIB:.2f}"
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
    if ready.fisher is not None and not folder.fisher.is_file():
        ready.fisher.write(folder.fisher)
    if folder.ledger.exists():
        return
    ledger = ready.prepared.ledger
    facts = ledger.to_json() | {
        "fingerprint": ready.prepared.fingerprint,
        "all_rows": ready.prepared.all_rows,
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
    """Raises SpecError that names the files that changed since the run began."""
    if not folder.ledger.is_file():
        return
    then = folder.read(folder.ledger)
    if then.get("all_rows", then.get("fingerprint")) in (None, prepared.all_rows):
        return
    changed = changed_files(then, prepared.ledger, written=folder.ledger.stat().st_mtime)
    listed = "\n".join(f"  {line}" for line in changed or [say("ledger.rows_differ")])
    raise SpecError(Problem("data", say("train.other_rows", changes=listed)))
