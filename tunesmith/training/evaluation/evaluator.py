"""One evaluation of a run, as the loop sees it: watched rows, the best model kept, own questions
answered.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError

from tunesmith.errors import DiskError
from tunesmith.events.run import Answers, BestNotSaved, Evaluated, PatienceEnded
from tunesmith.events.stream import Events
from tunesmith.machine.device import Device
from tunesmith.machine.sharding import gathered
from tunesmith.storage.atomic import replace_folder
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.evaluation.questions import Questions, write_page
from tunesmith.training.evaluation.watch import Watch
from tunesmith.training.keeping.record import Record
from tunesmith.training.keeping.save import Saver
from tunesmith.words import say


@dataclass
class Evaluator:
    """The evaluations at the steps where the loop asks for them."""

    watch: Watch
    questions: Questions
    saver: Saver
    folder: RunFolder
    record: Record
    device: Device
    total: int
    stopped: Callable[[], str | None]
    events: Events
    few: bool = False
    """Whether the validation rows are too few to choose by; else such rows are the proof's."""
    held_out: float | None = None
    """The held-out loss at the last look; None before the first, or where nothing is watched."""
    evaluated: int | None = None
    """The step of the last evaluation."""
    fitted_at: tuple[int, Saver] | None = None
    """The last step whose model was fitted to the watched rows, with its saver."""

    def save(self, folder: Path, step: int) -> None:
        """Writes the model as it stands, with what its kind of output fits on the watched rows;
        raises DiskError in every process where the first cannot write.
        """
        saver = self.fitted(step)
        try:
            with self.with_weights(saver) as whole:
                self.device.processes.on_first(lambda: whole(folder, step))
        except (OSError, SafetensorError) as error:
            raise DiskError(say("train.model_unsaved", folder=folder, error=error)) from error

    def fitted(self, step: int) -> Saver:
        """Returns the saver, with what the kind of output fits to the model of this step on the
        watched rows; every process enters it.

        A fit reads all of these rows, as long as an evaluation does, so the checkpoint, the best
        and the last model of one step share it.
        """
        if self.fitted_at is None or self.fitted_at[0] != step:
            watch = self.watch
            chosen_by = [] if watch.only_measured else watch.items
            fit = watch.objective.output.fit(watch.model, chosen_by)
            self.fitted_at = step, replace(self.saver, fitted=fit)
        return self.fitted_at[1]

    def for_checkpoint(self, step: int) -> Saver:
        """Returns the saver of a checkpoint: fitted where an evaluation was made at its step, for
        between two a checkpoint would cost as much as an evaluation.
        """
        return self.fitted(step) if self.evaluated == step else self.saver

    @contextmanager
    def with_weights(self, saver: Saver) -> Iterator[Saver]:
        """Yields the saver with the weights where they are divided; every process enters it. Raises
        OSError or SafetensorError, in all of them, where the first cannot write what it gathers.
        """
        if not self.device.divided:
            yield saver
            return
        model, trained_too = self.watch.model.model, not saver.method.adapter
        with gathered(model, self.device, self.folder.path, trained_too=trained_too) as weights:
            yield replace(saver, weights=weights)

    def leave(self, step: int) -> int:
        """Puts the run's model, the best where that is asked for and there is one, into its place;
        returns the model's step.
        """
        best, processes = self.watch.best, self.device.processes
        wanted = best.keep.final == "best" and best.step is not None
        if not (wanted and processes.on_first(self.folder.best.is_dir)):
            self.save(self.folder.model, step)
            return step
        processes.on_first(self._leave_best)
        return best.step or step

    def _leave_best(self) -> None:
        def copy(draft: Path) -> None:
            shutil.copytree(self.folder.best, draft, dirs_exist_ok=True)

        replace_folder(self.folder.model, copy)
        if self.questions.texts:
            self._write_page(self.watch.best.step or 0)

    def _write_page(self, last: int) -> None:
        write_page(self.folder.questions, self.questions.texts, self.record.lines(), last)

    @property
    def exhausted(self) -> bool:
        """Whether patience is used up."""
        return self.watch.best.exhausted

    def __call__(self, step: int) -> bool:
        """Evaluates; returns False when a signal interrupted it, and then nothing is kept, because
        all of it will be done again.
        """
        numbers: dict[str, float] | None = None
        if self.watch.used:
            numbers = self.watch.evaluate(self._stopped)
            if numbers is None:
                return False
        answers: list[str] | None = None
        if self.questions.texts:
            if step == 0:
                self.events.tell(say("train.asking", count=len(self.questions.texts)))
            answers = self.questions.answers(self.watch.model.model, self._stopped)
            if answers is None:
                return False
        if numbers is not None:
            self._evaluated(step, numbers)
            self.held_out = numbers.get("loss")
        if answers is not None:
            self.events(Answers(step, answers))
            last = step if self.exhausted else self.total
            self.device.processes.on_first(lambda: self._write_page(last))
        return True

    def _stopped(self) -> bool:
        return self.stopped() is not None

    def _evaluated(self, step: int, found: dict[str, float]) -> None:
        self.evaluated = step
        of = "proof" if self.watch.only_measured and not self.few else "validation"
        for event in (Evaluated(step, found, of), *self.watch.seen(step)):
            self.events(event)
        if self.watch.only_measured:
            return
        if self.watch.best.see(step, found):
            self._keep_best(step)
        if self.exhausted:
            self.events(PatienceEnded(step, self.watch.best.step))

    def _keep_best(self, step: int) -> None:
        try:
            self.save(self.folder.best, step)
        except DiskError as error:
            # Training goes on: the checkpoints report a disk that stays full.
            self.events(BestNotSaved(step, str(error)))
