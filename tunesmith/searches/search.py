"""A search from beginning to end: trials, several at a time where that is asked for, then the best
settings and the run's own trained whole. What is done is not done again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith.data.prepare import Prepared
from tunesmith.display.progress import Shown
from tunesmith.errors import DiskError, Problem, SpecError, Stopped, TrainingError
from tunesmith.events.stream import Events, Listener, opened
from tunesmith.events.verbs import PieceBegun, SearchBegun, TrialFailed, TrialScored
from tunesmith.machine.signals import StopSignal
from tunesmith.plain import JsonObject
from tunesmith.planning.make import make
from tunesmith.planning.plan import Plan
from tunesmith.report.search_page import (
    chosen_line,
    front_line,
    mattered_lines,
    method_lines,
    tried,
    typed,
    write_page,
)
from tunesmith.searches.engines import ENGINES, Asked, Done, Engine, Trial, how_many, longest
from tunesmith.searches.folder import Folder, Training
from tunesmith.searches.importance import front, importance
from tunesmith.searches.methods import by_method
from tunesmith.searches.places import PLACES, Begin, Place
from tunesmith.searches.spaces import Space, spaces_of
from tunesmith.searches.trial import Job, train_trial
from tunesmith.settings.run import Run
from tunesmith.settings.search import Search
from tunesmith.storage.run_folder import RunFolder
from tunesmith.trials.files import got, put
from tunesmith.trials.forked import End
from tunesmith.trials.general import general_data, general_rows
from tunesmith.trials.together import Going, together
from tunesmith.trials.training import badness
from tunesmith.words import metric_name, say

BEST, AS_GIVEN = "best", "as-given"


@dataclass(frozen=True)
class Searched:
    """A finished search: its folder, and what was found."""

    folder: Folder
    found: JsonObject

    @property
    def best(self) -> RunFolder:
        """The whole run with the best settings."""
        return self.folder.whole(BEST).run

    @property
    def as_given(self) -> RunFolder | None:
        """The whole run with the settings as they were given; None where these are the best."""
        whole = self.folder.whole(AS_GIVEN)
        return whole.run if whole.done.is_file() else None

    @property
    def page(self) -> Path:
        """The page with the picture and the tables."""
        return self.folder.page

    def lines(self) -> list[str]:
        """Returns the trials, best last, and the settings that were chosen."""
        results = self.found
        by = metric_name(self.found["chosen_by"])
        rows = sorted(
            results["trials"], key=lambda trial: (trial["share"], -_or_worst(trial["score"]))
        )
        lines_told = (
            [say("search.head", by=by, count=len(rows), settings=tried(rows))] if rows else []
        )
        lines_told += [_row(trial, results["chosen_by"]) for trial in rows]
        if rows:
            lines_told += [
                "",
                *method_lines(results),
                front_line(results),
                *mattered_lines(results),
                "",
            ]
        lines_told.append(chosen_line(results))
        whole = {
            name: trial["watch"][results["chosen_by"]] for name, trial in results["whole"].items()
        }
        lines_told += [
            say(f"search.whole_{name.replace('-', '_')}", by=by, value=f"{value:.4f}")
            for name, value in whole.items()
        ]
        lines_told += [say("search.optimism", count=tried(rows))] if rows else []
        return [*lines_told, say("search.page", page=self.page)]

    def to_json(self) -> JsonObject:
        """Returns every number."""
        return self.found


def search(run: Run, *, quiet: bool = False, listen: Sequence[Listener] = ()) -> Searched:
    """Searches ``run.search`` in the folder ``run.out``; raises Stopped after a signal, to continue
    by the same call.

    What happens inside a trial, which may be a process of its own, is shown and not heard.
    """
    # A pool of threads in the tokenizer would not survive a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    run = run if run.search else run.model_copy(update={"search": Search()})
    asked = run.search
    assert asked is not None, "it was put there"
    spaces = spaces_of(run)
    engine = ENGINES.make(asked.engine)
    folder = Folder(Path(run.out))
    where = PLACES.make(asked.place)
    # The run's own, those that were given one by one, and each of the spaces' once.
    most = 1 + len(dict(asked.engine).get("given", ())) + how_many(spaces)
    one_run = run.model_copy(update={"search": None, "out": str(folder.path / "planned")})
    with Shown(quiet=quiet) as shown, opened(shown.hear, *listen) as events:
        # Before the rows are read: what is not installed tells it here.
        where.check()
        engine.check()
        plan = make(one_run, progress=events.phase)
        prepared = plan.require().prepared
    assert prepared is not None, "a plan without problems has its rows"
    if not prepared.choosing or not prepared.proof:
        raise SpecError(Problem("data.held_out", say("search.needs_watch")))
    if asked.general is not None:
        _check_general(asked.general, prepared)
    with (
        RunFolder(folder.path).held(),
        StopSignal() as heard,
        opened(Shown(quiet=quiet).hear, *listen) as events,
    ):
        folder.begin(run, may_change=engine.may_change)
        with where.open(plan, asked.workers) as begin:
            going = _Search(one_run, asked, folder, plan, where, begin, heard, events)
            trials = int(min(asked.trials, most))
            if trials < asked.trials:
                events.tell(say("search.fewer", asked=asked.trials, trials=trials))
            # The run's own settings alone are compared with nothing.
            shares = engine.total(trials) if trials > 1 else []
            going.total = len(shares) + 1 + bool(shares)
            if shares:
                events(SearchBegun(len(shares), ", ".join(spaces)))
            asking = Asked(spaces, trials, run.train.seed, asked.workers)
            done = going.trials(engine, asking) if shares else []
            chosen = going.choose(done)
        results = _found(run, spaces, prepared, done) | chosen
        put(folder.result, results)
        write_page(results, folder.page)
    return Searched(folder, results)


def _check_general(path: str, prepared: Prepared) -> None:
    """Raises SpecError or DataError for general rows that cannot be asked."""
    if not prepared.objective.output.writes:
        raise SpecError(Problem("search.general", say("search.general_reads")))
    if not general_rows(general_data(path), prepared.render.tokenizer):
        raise SpecError(Problem("search.general", say("search.general_none", path=path)))


@dataclass(frozen=True)
class _Piece:
    """A training of the search: where it lies, what it is, and which it is of all."""

    training: Training
    trial: Trial
    title: str
    number: int


@dataclass
class _Search:
    own: Run
    """The run as it was given."""
    asked: Search
    folder: Folder
    plan: Plan
    place: Place
    begin: Begin
    heard: StopSignal
    events: Events
    total: int = 0
    number: int = 0
    """Trainings that were asked for so far."""
    over: int = 0
    """Trainings that are over."""

    def trials(self, engine: Engine, asked: Asked) -> list[tuple[Training, Done]]:
        """Trains what the engine picks, until it picks nothing more."""
        done: list[tuple[Training, Done]] = []
        while batch := engine.batch(asked, [trial_done for _, trial_done in done]):
            pieces = []
            for number, trial in enumerate(batch, len(done)):
                title = say("search.title", number=number + 1, values=typed(trial.values))
                pieces.append(self._piece(self.folder.trial(number), trial, title))
            self._do(pieces)
            done += [
                (piece.training, Done(piece.trial, self._score(piece.training))) for piece in pieces
            ]
        return done

    def choose(self, done: Sequence[tuple[Training, Done]]) -> JsonObject:
        """Trains the best settings of those that were trained longest whole, and the run's own
        beside them; returns what came of them.
        """
        values = self._best(done) if done else {}
        whole = {BEST: values, AS_GIVEN: {}} if values else {BEST: values}
        self.folder.choose(values)
        pieces = {
            name: self._piece(
                self.folder.whole(name),
                Trial(values, 1.0),
                say(f"search.title_{name.replace('-', '_')}"),
            )
            for name, values in whole.items()
        }
        self._do([*pieces.values()])
        if not pieces[BEST].training.done.is_file():
            raise TrainingError(got(pieces[BEST].training.failed)["reason"])
        ends = {name: got(piece.training.done) for name, piece in pieces.items()}
        return {
            "best": dict(values),
            "whole": {name: end for name, end in ends.items() if end},
        }

    def _best(self, done: Sequence[tuple[Training, Done]]) -> Mapping[str, Any]:
        last = longest([each for _, each in done])
        best = min(last, key=lambda each: each.score)
        if not math.isfinite(best.score):
            raise TrainingError(say("search.all_failed", count=len(last)))
        return best.trial.values

    def _piece(self, training: Training, trial: Trial, title: str) -> _Piece:
        self.number += 1
        return _Piece(training, trial, title, self.number)

    def _score(self, training: Training) -> float:
        ended = got(training.done)
        return badness(ended["watch"], self.own.train.keep.best_by) if ended else math.inf

    def _do(self, pieces: Sequence[_Piece]) -> None:
        """Trains those that are not over, several at a time; what fails is noted and told."""
        left = [piece for piece in pieces if not piece.training.over]
        for piece in pieces:
            if piece.training.over:
                self._tell(piece)
        if not left:
            return
        jobs = [
            Job(self._settings(), {}, piece.training, piece.trial, self.asked.general)
            for piece in left
        ]
        count = min(self.asked.workers, len(pieces))
        share = self.place.share(count, self.plan, lambda: self._need(jobs))
        if share.told:
            self.events.tell(share.told)
        several = share.at_once > 1
        begin = [
            partial(self._begin, piece, replace(job, machine=share.machine), several)
            for piece, job in zip(left, jobs, strict=True)
        ]
        end = together(begin, share.at_once, self.heard, lambda n, end: self._ended(left[n], end))
        if end is not None and end.kind == "disk":
            raise DiskError(end.reason)
        if end is not None:
            counts = {"done": self.over, "total": self.total, "out": self.folder.path}
            raise Stopped(say("search.stopped", **counts))

    def _begin(self, one: _Piece, job: Job, several: bool) -> Going:
        self.events(PieceBegun(one.title, one.number, self.total))
        told_file = one.training.told
        told_file.parent.mkdir(parents=True, exist_ok=True)
        told_file.unlink(missing_ok=True)
        named = f"[{one.number}/{self.total}] {one.title}"
        return self.begin(partial(train_trial, job, named, several), told_file)

    def _ended(self, one: _Piece, end: End) -> None:
        told_file = one.training.told
        if end.kind == "failed":
            os.replace(told_file, one.training.failed)
        told_file.unlink(missing_ok=True)
        if one.training.over:
            self._tell(one)

    def _tell(self, one: _Piece) -> None:
        """Counts a training that is over, and tells what came of it."""
        self.over += 1
        ended = got(one.training.done)
        if ended is None:
            self.events(TrialFailed(one.title, got(one.training.failed)["reason"]))
        else:
            self.events(TrialScored(one.title, ended["watch"]))

    def _settings(self) -> JsonObject:
        return self.own.model_dump(exclude_unset=True, mode="json", exclude={"search"})

    def _need(self, jobs: Sequence[Job]) -> float:
        """Returns the memory that the largest of the trials takes at least (GiB); those that cannot
        be planned say so when they are trained.
        """
        plans = [job.plan(self.plan.prepared) for job in jobs]
        plans = [self.plan, *(plan for plan in plans if not plan.problems)]
        return max(plan.facts["memory_gib"]["low"] for plan in plans)


def _found(
    run: Run,
    spaces: Mapping[str, Space],
    prepared: Prepared,
    done: Sequence[tuple[Training, Done]],
) -> JsonObject:
    """Returns the trials, and what they say of the settings."""
    assert run.search is not None, "the verb has put it there"
    trials = [_line(training, trial_done) for training, trial_done in done]
    return {
        "over": {path: vars(space) for path, space in spaces.items()},
        "engine": run.search.engine.model_dump(mode="json"),
        "chosen_by": run.train.keep.best_by,
        "rows": {
            "train": len(prepared.train),
            "watch": len(prepared.watch),
            "proof": len(prepared.proof),
        },
        "trials": trials,
        "methods": by_method(run, trials),
        "importance": importance(spaces, trials, run.train.seed),
        "front": front(trials),
    }


def _line(training: Training, one: Done) -> JsonObject:
    ended = got(training.done) or {"watch": None, **(got(training.failed) or {})}
    return {
        "run": training.path.name,
        "values": dict(one.trial.values),
        "share": one.trial.share,
        "score": one.score if math.isfinite(one.score) else None,
    } | ended


def _or_worst(score: float | None) -> float:
    return math.inf if score is None else score


def _row(one: JsonObject, by: str) -> str:
    number = say("search.failed") if one["score"] is None else f"{one['watch'][by]:.4f}"
    share = f"{100 * one['share']:.3g} %"
    return f"  {one['run']}  {share:>6}  {number:>9}  {typed(one['values'])}"
