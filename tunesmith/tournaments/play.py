"""A tournament from beginning to end; every piece that is not finished is done, one after the
other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tunesmith.display.progress import Shown
from tunesmith.errors import DiskError, Stopped, TunesmithError
from tunesmith.events.stream import Events, Listener, opened
from tunesmith.events.verbs import LeftOut, PieceBegun, PieceFailed, PieceScored, TournamentBegun
from tunesmith.machine.signals import StopSignal
from tunesmith.plain import JsonObject
from tunesmith.report.tournament import lines, markdown, page
from tunesmith.searches.engines import Trial
from tunesmith.searches.spaces import RATE
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.run_folder import RunFolder
from tunesmith.tournaments import jobs
from tunesmith.tournaments.folder import Board
from tunesmith.tournaments.rates import best_of, shares_of
from tunesmith.tournaments.setup import Entry, Field, keep, ready
from tunesmith.tournaments.standing import ranked, rate_of, standing
from tunesmith.trials.files import got, put
from tunesmith.trials.forked import apart
from tunesmith.trials.training import badness
from tunesmith.words import language, say

SCORING = 0.5
"""What scoring a model takes, as a share of training it: a guess, for the time that is left."""


@dataclass(frozen=True)
class Played:
    """A finished tournament: its folder, and all that its table says."""

    board: Board
    found: JsonObject

    def lines(self) -> list[str]:
        """Returns the table as lines for a person to read."""
        return lines(self.found)

    def to_json(self) -> dict[str, object]:
        """Returns every number."""
        return self.found


class _Out(TunesmithError):
    """An entry that cannot go on; its reason is on the disk."""


def play(run: Run, *, quiet: bool = False, listen: Sequence[Listener] = ()) -> Played:
    """Plays what is left of the tournament in ``run.out``; raises Stopped after a signal, to
    continue by the same command.

    What happens inside a piece, which may be a process of its own, is shown and not heard.
    """
    board = Board(Path(run.out))
    # The bar's thread would not survive a fork, so it has ended before the first piece.
    with Shown(quiet=quiet) as shown, opened(shown.hear, *listen) as events:
        made = ready(run, board, events)
    with (
        RunFolder(board.path).held(),
        StopSignal() as heard,
        opened(Shown(quiet=quiet).hear, *listen) as events,
    ):
        keep(made)
        with made.base_in_memory() as fork:
            _Play(made, heard, events, fork).all()
        results = standing(made)
        put(board.result, results)
        write_whole(board.table, markdown(results))
        write_whole(
            board.report, page(results, board.path, language() if run.lang == "auto" else run.lang)
        )
    return Played(board, results)


@dataclass
class _Play:
    field: Field
    heard: StopSignal
    events: Events
    fork: bool
    done: int = 0
    """Pieces that are finished."""
    spent: float = 0.0
    """Seconds of the pieces done by this process."""
    shares: float = 0.0
    """Whole trainings that these are worth."""
    left: float = 0.0
    """The same of what is not finished."""

    def all(self) -> None:
        """Plays the base, every entry, then the other seeds of the first places."""
        made, asked = self.field, self.field.asked
        self.entries = [entry for entry in made.entries if entry.resolved is not None]
        search = shares_of(len(self.entries[0].rates), asked.rungs)
        more = min(asked.places, len(self.entries)) * (asked.seeds - 1)
        self.total = 1 + len(self.entries) * (len(search) + 2) + 2 * more
        self.left = SCORING + len(self.entries) * (sum(search) + 1 + SCORING) + more * (1 + SCORING)
        self._begin()
        base = made.board.base
        if not self._do(
            base.score,
            partial(jobs.score_base, made),
            say("tournament.base"),
            SCORING,
            base.path / "failed.json",
        ):
            raise TunesmithError(got(base.path / "failed.json")["reason"])
        for entry in self.entries:
            self._entry(entry)
        for entry in ranked(self.entries, made)[: asked.places]:
            for seed in range(made.run.train.seed + 1, made.run.train.seed + asked.seeds):
                self._whole(entry, rate_of(entry), seed)

    def _begin(self) -> None:
        made, asked = self.field, self.field.asked
        self.events(
            TournamentBegun(
                methods=len(self.entries),
                rows=len(made.prepared.train),
                steps=self.entries[0].facts["steps"],
                watch=len(made.prepared.watch),
                proof=len(made.task.items),
                general=len(made.general),
                pieces=self.total,
                places=asked.places,
                seeds=asked.seeds,
            )
        )
        for entry in made.entries:
            if entry.refused:
                self.events(LeftOut(entry.label, entry.refused))

    def _entry(self, entry: Entry) -> None:
        """Searches an entry's rate and trains it whole with the first seed; a failure is noted and
        reported.
        """
        if entry.corner.failed.is_file():
            self.events(PieceFailed(entry.label, got(entry.corner.failed)["reason"]))
            return
        try:
            rate = best_of(entry.rates, self.field.asked.rungs, partial(self._tried, entry))
        except _Out:
            return
        if rate is None:
            put(
                entry.corner.failed,
                {"reason": say("tournament.no_rate", count=len(entry.rates)), "traceback": []},
            )
            self.events(PieceFailed(entry.label, got(entry.corner.failed)["reason"]))
            return
        self._whole(entry, rate, self.field.run.train.seed)

    def _tried(self, entry: Entry, trial: Trial) -> float:
        """Trains one rate of the search and returns its score, lower is better."""
        rate = float(trial.values[RATE])
        share = trial.share
        path = entry.corner.tried(rate, share)
        rungs = self.field.asked.rungs
        fields = {"rung": rungs.index(share) + 1, "rungs": len(rungs), "share": f"{100 * share:g}"}
        title = say("tournament.title_rung", method=entry.label, rate=f"{rate:g}", **fields)
        if not self._do(
            path,
            partial(jobs.try_rate, self.field, entry, rate, share),
            title,
            share,
            entry.corner.failed,
        ):
            raise _Out(entry.label)
        watched = got(path)["watch"]
        self.events(PieceScored(title, watched))
        return badness(watched, self.field.run.train.keep.best_by)

    def _whole(self, entry: Entry, rate: float, seed: int) -> None:
        """Runs one whole training and scores it."""
        scored = entry.corner.run(rate, seed)
        first = seed == self.field.run.train.seed
        failed = entry.corner.failed if first else scored.path / "failed.json"
        title = say("tournament.title_whole", method=entry.label, rate=f"{rate:g}", seed=seed)
        work = partial(jobs.train_whole, self.field, entry, scored, rate=rate, seed=seed)
        if self._do(scored.trained, lambda title: work(title=title), title, 1.0, failed):
            title = say("tournament.title_score", method=entry.label, rate=f"{rate:g}", seed=seed)
            if self._do(
                scored.score, partial(jobs.score_run, self.field, scored), title, SCORING, failed
            ):
                self.events(PieceScored(title, got(scored.score)["watch"]))

    def _do(
        self, done: Path, work: Callable[[str], None], title: str, share: float, failed: Path
    ) -> bool:
        """Does a piece unless it is done; returns False where it failed, now or before, which is
        reported.
        """
        if not done.is_file() and not failed.is_file():
            if self.heard.received:
                raise Stopped(self._stopped())
            self.events(PieceBegun(title, self.done + 1, self.total))
            began = time.monotonic()
            ended_file = self.field.board.path / ".ended.json"
            ended_file.unlink(missing_ok=True)
            named = f"[{self.done + 1}/{self.total}{self._minutes()}] {title}"
            end = apart(lambda: work(named), ended_file, self.heard, fork=self.fork)
            self.spent, self.shares = self.spent + time.monotonic() - began, self.shares + share
            if end.kind == "stopped":
                raise Stopped(self._stopped())
            if end.kind == "disk":
                raise DiskError(end.reason)
            if end.kind == "failed":
                failed.parent.mkdir(parents=True, exist_ok=True)
                os.replace(ended_file, failed)
        self.done, self.left = self.done + 1, self.left - share
        if not done.is_file():
            self.events(PieceFailed(title, got(failed)["reason"]))
        return done.is_file()

    def _minutes(self) -> str:
        """Returns the time that is left, once it can be estimated."""
        if self.shares < 1:
            return ""
        return say(
            "tournament.left", minutes=f"{self.spent / self.shares * max(self.left, 0) / 60:.0f}"
        )

    def _stopped(self) -> str:
        return say(
            "tournament.stopped", done=self.done, total=self.total, out=self.field.board.path
        )
