"""A search from beginning to end: trials one after the other, then the best settings and the run's
own trained whole. What is done is not done again.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tunesmith.data.prepare import Prepared
from tunesmith.display.progress import Shown
from tunesmith.errors import DiskError, Problem, SpecError, Stopped, TrainingError
from tunesmith.events.stream import Events, Listener, opened
from tunesmith.events.verbs import PieceBegun, SearchBegun, TrialFailed, TrialScored
from tunesmith.machine.signals import StopSignal
from tunesmith.plain import JsonObject
from tunesmith.planning.make import make
from tunesmith.proving.judge import metric
from tunesmith.report.search_page import front_line, mattered_lines, typed, write_page
from tunesmith.searches.engines import ENGINES, Done, Trial
from tunesmith.searches.folder import Folder, Place
from tunesmith.searches.importance import front, importance
from tunesmith.searches.spaces import Space, spaces_of, with_values
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import Run
from tunesmith.settings.search import Search
from tunesmith.storage.run_folder import RunFolder
from tunesmith.tournaments.folder import got, put
from tunesmith.tournaments.forked import apart
from tunesmith.tournaments.halving import part_of
from tunesmith.tournaments.jobs import Titled, taken
from tunesmith.tournaments.one_base import OneBase, one_base
from tunesmith.training.start import train
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
        place = self.folder.whole(AS_GIVEN)
        return place.run if place.done.is_file() else None

    @property
    def page(self) -> Path:
        """The page with the picture and the tables."""
        return self.folder.page

    def lines(self) -> list[str]:
        """Returns the trials, best last, and the settings that were chosen."""
        found, by = self.found, metric_name(self.found["chosen_by"])
        rows = sorted(found["trials"], key=lambda one: (one["share"], -_or_worst(one["score"])))
        told = [say("search.head", by=by, count=len(rows))]
        told += [_row(one, found["chosen_by"]) for one in rows]
        told += ["", front_line(found), *mattered_lines(found)]
        told += ["", say("search.chosen", values=typed(found["best"]))]
        whole = {name: one["watch"][found["chosen_by"]] for name, one in found["whole"].items()}
        told += [
            say(f"search.whole_{name.replace('-', '_')}", by=by, value=f"{value:.4f}")
            for name, value in whole.items()
        ]
        return [*told, say("search.optimism", count=len(rows)), say("search.page", page=self.page)]

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
    spaces, engine, folder = spaces_of(run), ENGINES.make(asked.engine), Folder(Path(run.out))
    own = run.model_copy(update={"search": None, "out": str(folder.path / "planned")})
    with Shown(quiet=quiet) as shown, opened(shown.hear, *listen) as events:
        # Before the rows are read: an engine that is not installed tells it here.
        engine.next(spaces, [Done(Trial({}, 1.0), 0.0)], 2, run.train.seed)
        plan = make(own, progress=events.phase)
        prepared = plan.require().prepared
    assert prepared is not None, "a plan without problems has its rows"
    if not prepared.choosing or not prepared.proof:
        raise SpecError(Problem("data.held_out", say("search.needs_watch")))
    with (
        RunFolder(folder.path).held(),
        StopSignal() as heard,
        opened(Shown(quiet=quiet).hear, *listen) as events,
    ):
        folder.begin(run)
        with one_base(plan.resolved.run, prepared) as base:
            going = _Search(run, own, spaces, folder, prepared, base, heard, events)
            going.total = len(engine.total(asked.trials)) + 2
            events(SearchBegun(len(engine.total(asked.trials)), ", ".join(spaces)))
            done = going.trials(partial(engine.next, spaces))
            found = going.choose(done)
        put(folder.result, found)
        write_page(found, folder.page)
    return Searched(folder, found)


@dataclass
class _Search:
    run: Run
    own: Run
    """The run as it was given."""
    spaces: Mapping[str, Space]
    folder: Folder
    prepared: Prepared
    base: OneBase
    heard: StopSignal
    events: Events
    total: int = 0
    number: int = 0

    def trials(self, following: Callable[..., Trial | None]) -> list[tuple[Place, Done]]:
        """Trains what the engine picks, until it picks nothing more."""
        assert self.run.search is not None, "the verb has put it there"
        done: list[tuple[Place, Done]] = []
        while True:
            trial = following([one for _, one in done], self.run.search.trials, self.run.train.seed)
            if trial is None:
                return done
            place = self.folder.trial(len(done))
            title = say("search.title", number=len(done) + 1, values=typed(trial.values))
            self._do(place, trial, title)
            found = got(place.done)
            score = _badness(found["watch"], self.own) if found else math.inf
            if found:
                self.events(TrialScored(title, found["watch"]))
            done.append((place, Done(trial, score)))

    def choose(self, done: Sequence[tuple[Place, Done]]) -> JsonObject:
        """Trains the best settings of those that were trained longest whole, and the run's own
        beside them; returns what was found.
        """
        longest = max(one.trial.share for _, one in done)
        last = [one for _, one in done if one.trial.share == longest]
        best = min(last, key=lambda one: one.score)
        if not math.isfinite(best.score):
            raise TrainingError(say("search.all_failed", count=len(last)))
        whole = {}
        for name, values in ((BEST, best.trial.values), (AS_GIVEN, {})):
            place = self.folder.whole(name)
            if name == AS_GIVEN and not best.trial.values:
                continue
            self._do(place, Trial(values, 1.0), say(f"search.title_{name.replace('-', '_')}"))
            if not place.done.is_file() and name == BEST:
                raise TrainingError(got(place.failed)["reason"])
            if place.done.is_file():
                whole[name] = got(place.done)
        trials = [self._line(place, one) for place, one in done]
        return {
            "over": {path: vars(space) for path, space in self.spaces.items()},
            "engine": self.run.search.engine.model_dump(mode="json") if self.run.search else None,
            "chosen_by": self.own.train.keep.best_by,
            "rows": {
                "train": len(self.prepared.train),
                "watch": len(self.prepared.watch),
                "proof": len(self.prepared.proof),
            },
            "trials": trials,
            "importance": importance(self.spaces, trials, self.run.train.seed),
            "front": front(trials),
            "best": dict(best.trial.values),
            "whole": whole,
        }

    def _line(self, place: Place, one: Done) -> JsonObject:
        found = got(place.done) or {"watch": None, **(got(place.failed) or {})}
        score = one.score if math.isfinite(one.score) else None
        values = dict(one.trial.values)
        return {
            "run": place.path.name,
            "values": values,
            "share": one.trial.share,
            "score": score,
        } | found

    def _do(self, place: Place, trial: Trial, title: str) -> None:
        """Trains one run unless that is done; what fails is noted and told."""
        self.number += 1
        if not place.done.is_file() and not place.failed.is_file():
            if self.heard.received:
                raise Stopped(self._stopped())
            self.events(PieceBegun(title, self.number, self.total))
            told = self.folder.path / ".ended.json"
            told.unlink(missing_ok=True)
            named = f"[{self.number}/{self.total}] {title}"
            work = partial(self._train, place, trial, named)
            end = apart(work, told, self.heard, fork=self.base.fork)
            if end.kind == "stopped":
                raise Stopped(self._stopped())
            if end.kind == "disk":
                raise DiskError(end.reason)
            if end.kind == "failed":
                place.failed.parent.mkdir(parents=True, exist_ok=True)
                os.replace(told, place.failed)
        if not place.done.is_file():
            self.events(TrialFailed(title, got(place.failed)["reason"]))

    def _train(self, place: Place, trial: Trial, title: str) -> None:
        began, resume = time.monotonic(), place.run.run_yaml.is_file()
        with Titled(title) as shown:
            resolved = place.run.resolved() if resume else self._planned(place, trial)
            train(
                resolved,
                self.prepared,
                resume=resume,
                events=Events(shown.hear),
                loaded=self.base.of(resolved),
            )
        lines = place.run.steps()
        watch = next(one["evaluation"] for one in reversed(lines) if "evaluation" in one)
        spent = {"seconds_in_all": round(time.monotonic() - began, 3)}
        put(place.done, {"watch": watch, **taken(lines), **spent})
        # The trial is over, and nothing will be continued.
        shutil.rmtree(place.run.checkpoints, ignore_errors=True)

    def _planned(self, place: Place, trial: Trial) -> Resolved:
        """Returns the plan of a trial: its share of the whole training, evaluated once, at the
        end.
        """
        one = with_values(self.own.model_copy(update={"out": str(place.path)}), trial.values)
        plan = make(one, prepared=self.prepared).require()
        shorter = part_of(plan.resolved.run.train, plan.facts["steps"], trial.share)
        if trial.share < 1:
            steps = shorter.steps or plan.facts["steps"]
            keep = shorter.keep.model_copy(
                update={"evaluate": float(steps), "patience": 0, "final": "last"}
            )
            shorter = shorter.model_copy(update={"keep": keep})
        run = plan.resolved.run.model_copy(update={"train": shorter, "questions": (), "track": ()})
        return replace(plan.resolved, run=run)

    def _stopped(self) -> str:
        return say("search.stopped", done=self.number - 1, total=self.total, out=self.folder.path)


def _badness(watch: Mapping[str, float] | None, run: Run) -> float:
    """Returns the validation rows' number that trials are ordered by, lower is better."""
    name = run.train.keep.best_by
    value = (watch or {}).get(name, math.inf)
    if not math.isfinite(value):
        return math.inf
    return -value if name != "loss" and metric(name).higher else value


def _or_worst(score: float | None) -> float:
    return math.inf if score is None else score


def _row(one: JsonObject, by: str) -> str:
    number = say("search.failed") if one["score"] is None else f"{one['watch'][by]:.4f}"
    share = f"{100 * one['share']:g} %"
    return f"  {one['run']}  {share:>6}  {number:>9}  {typed(one['values'])}"
