"""What is read, planned and loaded once for all entries of a tournament."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.batches.batch import Tokens
from tunesmith.data.prepare import Prepared
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.models.loading.load import Loaded
from tunesmith.plain import JsonObject
from tunesmith.planning.begun import refuse_other
from tunesmith.planning.make import make
from tunesmith.planning.plan import Plan
from tunesmith.proving.answers import by_model_alone, metrics_of, settings_for
from tunesmith.proving.judge import metric
from tunesmith.proving.options import chosen_among_options, options_task
from tunesmith.proving.task import Task, evenly, task_of
from tunesmith.searches.spaces import rates_of
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.open_values import default_rate
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import Generate, Keep, Run, read_run
from tunesmith.settings.tournament import Tournament, label, slug
from tunesmith.storage.atomic import write_whole
from tunesmith.tournaments.folder import Board, Corner
from tunesmith.tournaments.rates import rates_in
from tunesmith.trials.files import got, put
from tunesmith.trials.general import general_data, general_rows
from tunesmith.trials.one_base import OneBase, one_base
from tunesmith.trials.training import part_of
from tunesmith.words import say

MAY_CHANGE = {
    *("out", "lang"),
    *(f"tournament.{name}" for name in ("methods", "places", "seeds")),
}
"""Settings that a continuation may change: what they add is done, and nothing
again.
"""


@dataclass
class Entry:
    """One method with its settings. ``resolved`` is its plan; without one, ``refused`` says why."""

    method: Any
    corner: Corner
    label: str
    rates: tuple[float, ...] = ()
    resolved: Resolved | None = None
    refused: str = ""
    facts: JsonObject = field(default_factory=dict)
    """Its weights and steps."""

    def planned(self, rate: float, seed: int, share: float = 1.0) -> Resolved:
        """Returns the settings of one training: ``share`` of the whole, with its own schedule."""
        assert self.resolved is not None, f"{self.label} was refused"
        train = part_of(self.resolved.run.train, self.facts["steps"], share)
        run = self.resolved.run.model_copy(
            update={
                "train": train.model_copy(update={"learning_rate": rate, "seed": seed}),
                "out": str(self.corner.run(rate, seed).path),
            }
        )
        return replace(self.resolved, run=run)


@dataclass
class Field:
    """The tournament's settings, rows, tasks and base, and its entries."""

    run: Run
    asked: Tournament
    board: Board
    prepared: Prepared
    entries: list[Entry]
    task: Task
    """The proof rows."""
    watched: Task | None
    """The watched rows with their options, where a metric of choices picks the rates."""
    metrics: list[str]
    primary: str
    writes: bool
    """Whether a metric needs written answers."""
    generate: Generate
    general: list[list[Tokens]] = field(default_factory=list)
    one_base: OneBase | None = None
    """The base, while the pieces are done."""

    def base(self, entry: Entry | None = None) -> Loaded | None:
        """Returns the base for a piece, which may change it; None where the entry needs the model
        in another form and loads its own.
        """
        assert self.one_base is not None, "it is in memory while pieces are done"
        return self.one_base.of(
            entry.resolved if entry is not None and entry.resolved else self.first
        )

    @property
    def first(self) -> Resolved:
        """The plan of the first entry that has one; what does not depend on the method is the same
        in all.
        """
        return next(entry.resolved for entry in self.entries if entry.resolved is not None)

    @contextmanager
    def base_in_memory(self) -> Iterator[bool]:
        """Loads the base for the time of the pieces; yields whether these are forked processes."""
        with one_base(self.first.run, self.prepared) as self.one_base:
            yield self.one_base.fork


def ready(run: Run, board: Board, events: Events) -> Field:
    """Reads the rows and plans every entry; raises SpecError or DataError where nothing could be
    compared.
    """
    # A pool of threads in the tokenizer would not survive a fork either.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    run = run if run.tournament else run.model_copy(update={"tournament": Tournament()})
    asked = run.tournament
    assert asked is not None, "it was put there"
    output = OBJECTIVES.make(run.objective).output
    if not output.writes:
        raise SpecError(
            Problem("objective", say("classes.no_tournament", objective=run.objective.name))
        )
    if output.compares:
        raise SpecError(
            Problem("objective", say("tournament.not_preferences", objective=run.objective.name))
        )
    _check(asked)
    entries = [Entry(method, board.corner(slug(method)), label(method)) for method in asked.methods]
    refuse_other(board.settings, run, may_change=MAY_CHANGE)
    prepared = _plan(run, entries, events)
    if not prepared.choosing or not prepared.proof:
        raise SpecError(Problem("data.held_out", say("tournament.needs_watch")))
    base = next(entry.resolved for entry in entries if entry.resolved is not None).run
    task = task_of(base, prepared, evenly(prepared.proof, run.prove.items), shots=0)
    names, primary = by_model_alone(*metrics_of(base, task)[:2])
    writes = metric(primary).reads == "text"
    names = [name for name in names if writes or metric(name).reads != "text"]
    chosen = base.model_copy(update={"train": run.train})
    watched = options_task(chosen, prepared) if chosen_among_options(chosen) else None
    general = _general(asked, prepared.render.tokenizer, events)
    generate = settings_for(base, task)
    return Field(
        run,
        asked,
        board,
        prepared,
        entries,
        task,
        watched,
        names,
        primary,
        writes,
        generate,
        general,
    )


def _check(asked: Tournament) -> None:
    problems = []
    if asked.rates > 1 and not asked.rungs:
        problems.append(
            Problem("tournament.rungs", say("tournament.needs_rungs", rates=asked.rates))
        )
    if list(asked.rungs) != sorted(set(asked.rungs)) or any(share >= 1 for share in asked.rungs):
        problems.append(
            Problem("tournament.rungs", say("tournament.rungs_rise", value=list(asked.rungs)))
        )
    if not asked.methods:
        problems.append(Problem("tournament.methods", say("tournament.no_methods")))
    names = [slug(method) for method in asked.methods]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(
            Problem("tournament.methods", say("tournament.twice", names=", ".join(twice)))
        )
    if problems:
        raise SpecError(problems)


def _single(run: Run, method: Any, out: str) -> Run:
    """Returns the run of one entry, without what the tournament itself decides."""
    keep = Keep(evaluate=0, save=run.train.keep.save, keep=run.train.keep.keep)
    train = run.train.model_copy(update={"learning_rate": None, "keep": keep})
    changes = {
        "method": method,
        "out": out,
        "train": train,
        "tournament": None,
        "questions": (),
        "track": (),
    }
    return run.model_copy(update=changes)


def _plan(run: Run, entries: Sequence[Entry], events: Events) -> Prepared:
    """Plans every entry and gives the rows. A problem that all entries have is the tournament's
    own.
    """
    prepared: Prepared | None = None
    problems: list[list[Problem]] = []
    for entry in entries:
        if prepared is not None and _known(entry):
            problems.append([])
            continue
        plan = make(
            _single(run, entry.method, str(entry.corner.path / "run")),
            prepared=prepared,
            progress=events.phase,
        )
        if plan.prepared is None:
            raise SpecError(plan.problems)
        prepared = plan.prepared
        if not _known(entry):
            _take(entry, plan)
        problems.append(plan.problems)
    if all(problems):
        raise SpecError(list(dict.fromkeys(problem for some in problems for problem in some)))
    assert prepared is not None, "there is an entry"
    for entry in entries:
        if entry.resolved is not None:
            own_rate, _ = default_rate(entry.resolved.run)
            count = (run.tournament or Tournament()).rates
            space = rates_of(run.model_copy(update={"method": entry.method}))
            entry.rates = rates_in(space, count) if count > 1 else (own_rate,)
    return prepared


def _take(entry: Entry, plan: Plan) -> None:
    if plan.problems:
        entry.refused = "; ".join(str(problem) for problem in plan.problems)
        return
    entry.resolved = plan.resolved
    entry.facts = {
        name: plan.facts[name] for name in ("parameters", "trainable", "steps", "tokens")
    }


def _known(entry: Entry) -> bool:
    """Tells whether the entry was planned before; then it keeps that plan, with its micro-batches
    and threads.
    """
    facts = got(entry.corner.facts)
    if facts is not None:
        entry.resolved, entry.facts = Resolved(read_run(entry.corner.plan)), facts
    return facts is not None


def keep(field: Field) -> None:
    """Writes what was asked and planned; raises DataError where the rows are no longer those that
    the folder's runs were trained on.
    """
    board, prepared = field.board, field.prepared
    before = got(board.ledger)
    if before is not None and before["fingerprint"] != prepared.fingerprint:
        raise DataError(Problem("data.path", say("tournament.data_changed", out=board.path)))
    # First, because by this file a folder is known to hold a tournament.
    write_whole(board.settings, Resolved(field.run).dump())
    put(
        board.ledger,
        prepared.ledger.to_json()
        | {"fingerprint": prepared.fingerprint, "split_seed": prepared.seed},
    )
    for entry in field.entries:
        if entry.resolved is not None and not entry.corner.facts.is_file():
            write_whole(entry.corner.plan, entry.resolved.dump())
            put(entry.corner.facts, entry.facts)


def _general(asked: Tournament, tokenizer: Any, events: Events) -> list[list[Tokens]]:
    """Returns the beginnings of the general rows; none, and a line that says so, where they cannot
    be loaded.
    """
    if asked.general is None:
        return []
    try:
        return general_rows(general_data(asked.general, asked.general_rows), tokenizer)
    except DataError as error:
        events.tell(say("tournament.no_general", error=str(error)))
        return []
