"""What would run, looked at before it does: one plan, told as plain data, from which the pages on
the rows and on the plan are made. It may be asked for in a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from tunesmith import words
from tunesmith.data.check import of
from tunesmith.data.find import find_data
from tunesmith.data.ledger import why_dropped
from tunesmith.data.one_row import trained
from tunesmith.data.readers import READERS
from tunesmith.data.reading import sized
from tunesmith.errors import Problem, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.planning.lines import few_lines, value_rows
from tunesmith.planning.make import make
from tunesmith.planning.plan import Plan
from tunesmith.settings.explain import columns_of
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run, read_run
from tunesmith.ui.goals import GOALS, objective_of, other_goals, why

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared

DROPPED = 200
"""Rows that were left out and are listed; the run's folder has all of them."""
PLAIN = ("question", "answer", "text", "label")
"""Names of columns that say what they mean to who never saw one of the others."""
TEXT = 6000
"""Characters of a row that a page shows."""
FIXES = (
    ("train.machine.checkpointing=true",),
    ("train.micro_tokens=512",),
    ("method=lora",),
    ("model.quantize=nf4",),
    ("data.max_length=512", "data.too_long=truncate"),
)
"""What makes a run smaller, that which costs least first: two cost time, the last reads less."""


@dataclass(frozen=True)
class Asked:
    """What is looked at: settings as they are typed, and which row is shown."""

    words: tuple[str, ...]
    goal: str
    lang: str
    row: str = ""
    probe: bool = False


def look(asked: Asked) -> JsonObject:
    """Returns what would run, with every problem at its setting; nothing is written. The settings
    were validated before.
    """
    words.use(asked.lang)
    given = any(word.startswith("objective=") for word in asked.words)
    typed = [*asked.words, *([] if given else [f"objective={GOALS[asked.goal][0]}"])]
    run = read_run(None, typed)
    objective = run.objective.name
    wrong: list[Problem] = []
    if not given:
        objective, wrong = objective_of(run.data, asked.goal)
        typed[-1] = f"objective={objective}"
        run = read_run(None, typed)
    plan = make(run, probe=asked.probe)
    facts = _planned(plan) | {
        "objective": objective,
        "why": why(objective, asked.goal, given),
        "words": typed,
        "files": _files(plan),
        "fix": _fix(plan, typed),
    }
    # What keeps the rows from being read decides what else they may be meant for.
    if plan.prepared is None:
        facts["goals"] = other_goals(run.data, asked.goal)
    else:
        facts |= _rows(plan.prepared, asked.row)
    return facts | {"problems": _plain(plan.problems or wrong)}


def _planned(plan: Plan) -> JsonObject:
    run = plan.resolved.run
    return {
        "facts": plan.facts,
        "lines": plan.fact_lines(),
        "warnings": [*plan.warnings, *few_lines(plan)],
        "values": value_rows(run, plan.resolved.origins) if not plan.problems else [],
        "yaml": plan.resolved.dump(),
        "limit": run.data.max_length,
    }


def _rows(prepared: Prepared, row: str) -> JsonObject:
    """Returns where the rows went, and some of them as the model gets them."""
    ledger, problems = prepared.ledger, []
    shown = [{"title": title, "parts": list(_parts(text))} for title, text in of(prepared).samples]
    lines: list[str] = []
    if row:
        try:
            rows = of(prepared).row(row)
            lines = [line for shown_row in rows for line in shown_row.lines()]
            shown = [
                {"title": sequence.title, "parts": list(_parts(sequence.text))}
                for shown_row in rows
                for sequence in shown_row.sequences
            ]
        except TunesmithError as error:
            problems = [problem.text for problem in error.problems]
    dropped = [
        {"file": Path(entry["file"]).name, "row": entry["row"], "reason": why_dropped(entry)}
        for entry in ledger.dropped[:DROPPED]
    ]
    return {
        "ledger": ledger.to_json(),
        "told": ledger.lines()[: -len(ledger.notes) or None],
        "notes": ledger.notes,
        "dropped": dropped,
        "shown": shown,
        "row_lines": lines,
        "row_problems": problems,
    }


def _files(plan: Plan) -> list[JsonObject]:
    """Returns the files with their columns, and what a column may be called here."""
    run = plan.resolved.run
    if plan.prepared is not None:
        entries = [dict(entry) for entry in plan.prepared.ledger.files]
    else:
        entries = list(_unread(run))
    eats = OBJECTIVES.make(run.objective).eats
    several = [os.path.abspath(sized(source.path)[0]) for source in run.data.sources]
    for entry in entries:
        # Which of several files, or folders, it is of: its columns are its own.
        path = os.path.abspath(entry["path"])
        of = [n for n, source in enumerate(several) if f"{path}/".startswith(f"{source}/")]
        entry["number"] = of[0] if of and len(several) > 1 else None
        reader = entry.get("reader") or run.data.reader
        names = [reader] if reader else READERS.names()
        wanted = [READERS.get(name) for name in names if READERS.get(name).gives is eats]
        ours = {name: text for cls in wanted for name, text in columns_of(cls).items()}
        entry["read_as"] = entry.get("read_as") or {}
        entry["ours"], entry["more"] = _plain_first(ours, entry["read_as"])
    return entries


def _plain_first(
    ours: Mapping[str, str], read_as: Mapping[str, str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Splits our names of columns into one of each meaning, with those that are in use, and the
    others, which mean the same.
    """
    names = sorted(ours, key=lambda name: name not in PLAIN)
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(ours[name], name)
    first = {*plain.values(), *read_as}
    return (
        [(name, ours[name]) for name in names if name in first],
        [(name, ours[name]) for name in names if name not in first],
    )


def _unread(run: Run) -> Iterator[JsonObject]:
    """Yields the files whose rows could not be read, as far as they can be opened."""
    from tunesmith.data.files.sources import facts

    try:
        given = run.data.path
        places = [given] if isinstance(given, str) else [source.path for source in given]
        for path in (file for source in places for file in find_data(source)):
            facts_of_file = facts(path)
            yield {
                "path": str(path),
                "format": facts_of_file.format,
                "columns": list(facts_of_file.columns),
            }
    except TunesmithError:
        return  # it stands among the problems


def _parts(text: Text) -> Iterator[tuple[str, bool]]:
    """Yields the pieces of a row's text, each with whether it is learned."""
    done = 0
    plain = text.plain[:TEXT]
    for start, end in trained(text):
        if plain[done:start]:
            yield plain[done:start], False
        if plain[start:end]:
            yield plain[start:end], True
        done = end
    if plain[done:]:
        yield plain[done:], False
    if len(text.plain) > TEXT:
        yield " …", False


def _fix(plan: Plan, typed: Sequence[str]) -> list[str]:
    """Returns the cheapest settings, one or two, with which a run fits into memory that does not as
    it is; none where it fits, or where no two of them are enough.
    """
    if _fits(plan):
        return []
    shorter: Prepared | None = None

    def fits(change: Sequence[str]) -> bool:
        nonlocal shorter
        cuts = any(setting.startswith("data.") for setting in change)
        try:
            run = read_run(None, [*typed, *change])
            tried = make(run, prepared=shorter if cuts else plan.prepared)
        except TunesmithError:
            return False
        if cuts:  # rows that are cut are read once
            shorter = tried.prepared
        return not tried.problems and _fits(tried)

    ones = [(number,) for number in range(len(FIXES))]
    # What costs most of a pair decides what it costs.
    places = sorted([*ones, *combinations(range(len(FIXES)), 2)], key=lambda two: two[::-1])
    changes = ([setting for number in two for setting in FIXES[number]] for two in places)
    return next((change for change in changes if fits(change)), [])


def _fits(plan: Plan) -> bool:
    """Tells whether a run needs no more memory than is free, where the plan could count it."""
    memory = plan.facts.get("memory_gib")
    return memory is None or memory["low"] <= memory["free"]


def _plain(problems: object) -> list[JsonObject]:
    assert isinstance(problems, list | tuple), "problems come in a row"
    return [{"where": problem.where, "text": problem.text} for problem in problems]
