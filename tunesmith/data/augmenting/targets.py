"""Which rows are reworded: those of the kinds that collect.jsonl names, which a proof found
weak.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tunesmith.data.asked_reading import reading_for
from tunesmith.data.find import find_data
from tunesmith.data.reading import examples
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.proving.collect import is_of
from tunesmith.proving.row_traits import line_of
from tunesmith.proving.task import evenly
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

SHOWN = 20
"""Lines that are named, where a file has more that are wrong."""
NEEDED = {"target", "rows"}
SLICE = {"by", "value", "low", "high"}


def rows_wanted(source: str, target: str, times: int) -> tuple[set[tuple[Path, int]], list[str]]:
    """Returns the rows of ``source`` (file and number) that are of the kinds in the file
    ``target``, for each kind as many as give the rows that it asks for, and a line for each kind;
    DataError where there are none, or the file says no kinds. The rows are read as the run does
    that was proved.
    """
    kinds = _kinds(target)
    run = _run(target)
    objective = OBJECTIVES.make(run.objective)
    data = run.data.model_copy(update={"path": source, "steps": ()})
    reading = examples(data, objective.eats, objective.meant, reading_for(objective))
    lines: list[tuple[tuple[Path, int], JsonObject]] = []
    for located, example in reading:
        line = line_of(located.where, example)
        if line is not None:
            lines.append(((located.file, located.number), line))
    wanted: set[tuple[Path, int]] = set()
    notes: list[str] = []
    for kind in kinds:
        of_kind = [row for row, line in lines if is_of(kind, line)]
        taken = evenly(of_kind, max(1, kind["rows"] // times))
        wanted |= {*taken}
        fields = {"target": kind["target"], "rows": kind["rows"]}
        notes.append(say("augment.for_target", **fields, taken=len(taken), most=len(taken) * times))
    if not wanted:
        raise DataError(Problem(source, say("augment.none_wanted", kinds=_names(kinds))))
    return wanted, notes


def _run(target: str) -> Run:
    """Finds the run in whose folder the file lies."""
    for folder in Path(target).resolve().parents:
        run = RunFolder(folder)
        if run.run_yaml.is_file():
            return run.resolved().run
    raise SpecError(Problem("target", say("augment.no_run", target=target)))


def _kinds(target: str) -> list[JsonObject]:
    """Reads the lines; to who reads rows of any layout, a file of one line is the rows in its
    ``like``.
    """
    kinds = list[JsonObject]()
    problems = list[Problem]()
    for file in find_data(target):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, text in enumerate(lines, 1):
            kind = _kind(text)
            if kind is None:
                problems.append(Problem(f"{file.name}:{number}", say("augment.no_target")))
            else:
                kinds.append(kind)
    if problems:
        raise DataError(problems[:SHOWN])
    return kinds


def _kind(text: str) -> JsonObject | None:
    """Returns the kind that a line tells of; None where it tells of none."""
    try:
        kind = json.loads(text)
    except ValueError:
        return None
    if not isinstance(kind, dict) or not isinstance(kind.get("rows"), int):
        return None
    whole = kind.keys() >= NEEDED and ("words" in kind or kind.keys() >= SLICE)
    return kind if whole and kind.get("words", ["-"]) else None


def _names(kinds: Sequence[JsonObject]) -> str:
    return "; ".join(str(kind["target"]) for kind in kinds)
