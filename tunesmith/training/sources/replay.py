"""Replay (Rolnick et al. 2019, section 3; for language models Scialom et al. 2022, section 3.3):
rows of an earlier task are mixed into every step, so that it is not forgotten.

The new rows keep their order, their steps and their learning rates; the old ones come on top.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Gt, Lt

from tunesmith.batches.order import Order
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.settings.spec import Spec
from tunesmith.training.sources import SOURCES, Step, StepSource
from tunesmith.training.sources.rows import RowSource
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.data.rows import Progress
    from tunesmith.machine.parallel import Processes
    from tunesmith.models.calling.loss_models import Models
    from tunesmith.settings.run import Run

_SETTING = re.compile(r"^data(?=$|\.(path|columns|reader)\b)")
"""What the old rows have a setting of their own for; a file may have "data" in its name too."""


@SOURCES.register
class Replay(StepSource):
    """The training rows, and old ones beside them by share."""

    class Config(Spec):
        """Old rows beside the new ones."""

        path: str
        """Where the old rows are: a data file, or a finished run's folder, of which the training
        rows are taken and the held-out ones left alone."""
        share: Annotated[float, Gt(0), Lt(1)] = 0.1
        """Share of a step's rows that are old; they come on top of train.batch."""
        columns: dict[str, str] | None = None
        """Our names to those of an old file: ``{question: Question, answer: Response}``."""
        reader: str | None = None
        """The reader of an old file, where detection should not decide."""
        reservoir: Annotated[int, Gt(0)] | None = None
        """Most old rows that are kept, each as likely as any other (Vitter 1985). Where path is a
        run that replayed rows itself, those are among them: of several tasks none drops out."""

    def widened(self, run: Run, prepared: Prepared, progress: Progress | None) -> Prepared:
        """Reads the old rows for the run's objective, without those that are held out of the new
        ones; raises SpecError or DataError at ``source`` where that cannot be.
        """
        try:
            every = self._old(run, self.config, prepared.render.tokenizer, progress)
        except (DataError, SpecError) as error:
            problems = [
                replace(problem, where=_SETTING.sub("source", problem.where))
                for problem in error.problems
            ]
            raise type(error)(problems) from None
        if any(old.objective.outputs != prepared.objective.outputs for old in every):
            raise SpecError(Problem("source.path", say("train.replay_classes")))
        held = {_content(item) for item in (*prepared.watch, *prepared.proof)}
        rows = [item for old in every for item in old.train]
        kept = [item for item in rows if _content(item) not in held]
        if not kept:
            raise SpecError(Problem("source.path", say("train.replay_none")))
        left = len(rows) - len(kept)
        most = self.config.reservoir or len(kept)
        fields = {"rows": min(most, len(kept)), "of": len(kept), "path": self.config.path}
        note = say("train.replay_rows", left_out=left, **fields)
        if note not in prepared.ledger.notes:
            prepared.ledger.notes.append(note)
        if most < len(kept):
            drawn = np.random.default_rng(run.train.seed).choice(len(kept), most, replace=False)
            kept = [kept[index] for index in sorted(drawn)]
        prints = "".join([prepared.fingerprint, *(old.fingerprint for old in every)])
        both = hashlib.sha256(prints.encode()).hexdigest()
        return replace(prepared, replayed=kept, all_rows=both)

    def _old(
        self, run: Run, config: Config, tokenizer: Any, progress: Progress | None
    ) -> list[Prepared]:
        """Prepares the old rows as the run reads its own; with a reservoir also those that the run
        of ``config.path`` replayed.
        """
        from tunesmith.data.prepare_once import prepare_once
        from tunesmith.storage.run_folder import RunFolder
        from tunesmith.training.sources._earlier import rows_of_run

        folder = RunFolder(Path(config.path))
        earlier: Any = None  # the source of the run that is replayed
        if folder.run_yaml.is_file():
            earlier = folder.resolved().run.source
            prepared = [rows_of_run(folder, run, tokenizer, progress)]
        elif Path(config.path).exists():
            settings = {"path": config.path, "columns": config.columns, "reader": config.reader}
            settings |= {"held_out": 0, "limit": None, "split_by": None}
            data = run.data.model_copy(update=settings)
            every = run.train.model_copy(update={"rows": None})
            reads = run.model_copy(update={"data": data, "train": every})
            prepared = [prepare_once(reads, tokenizer, progress=progress)]
        else:
            raise SpecError(Problem("source.path", say("train.replay_absent", path=config.path)))
        if self.config.reservoir is not None and isinstance(earlier, Replay.Config):
            prepared += self._old(run, earlier, tokenizer, progress)
        return prepared

    def open(self, run: Run, prepared: Prepared, processes: Processes) -> None:
        """Fixes the order of the new rows and of the old."""
        self.new = RowSource(None)
        self.new.open(run, prepared, processes)
        self.total, self.old = self.new.total, prepared.replayed
        # Another seed, because two files of one length would be shuffled alike.
        self.order = Order(len(self.old), 1, run.train.seed + 1)

    def step(self, number: int, models: Models) -> Step:
        """Takes the new rows of this step, and as many old ones as keep the share."""
        new = self.new.step(number, models)
        drawn = range(self._until(number), self._until(number + 1))
        items = [self.old[row] for draw in drawn for row in self.order.taken(draw)]
        examples = [*new.passes[0], *(item.tokens for item in items)]
        return Step([examples], [*new.ids, *(item.id for item in items)], {"replayed": len(items)})

    def _until(self, step: int) -> int:
        """Counts the old rows of all steps before this one."""
        order = self.new.order
        epochs, rest = divmod(step, order.steps_per_epoch)
        new = epochs * order.rows + min(rest * order.batch, order.rows)
        return int(round(new * self.config.share / (1 - self.config.share), 6))

    def epoch(self, steps: int) -> float:
        """Returns the passes over the new rows."""
        return self.new.epoch(steps)

    def told(self) -> list[str]:
        """Returns a line: how many steps the new rows make, and how often an old one is seen."""
        drawn = self._until(self.total)
        rows = len(self.old)
        seen = f"{drawn / rows:.2g}"
        return [*self.new.told(), say("train.replays", drawn=drawn, rows=rows, seen=seen)]


def _content(item: Item) -> tuple[bytes, ...]:
    return tuple(tokens.ids_T.tobytes() for tokens in item.tokens)
