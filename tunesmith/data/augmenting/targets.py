"""Which rows are reworded: those of the kinds that collect.jsonl names, which a proof found
weak.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.data.asked_reading import reading_for
from tunesmith.data.files.file_facts import Faults
from tunesmith.data.files.sources import rows as rows_of
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
    known: list[tuple[tuple[Path, int], JsonObject]] = []
    for located, example in reading:
        line = line_of(located.where, example)
        if line is not None:
            known.append(((located.file, located.number), line))
    wanted: set[tuple[Path, int]] = set()
    notes: list[str] = []
    for kind in kinds:
        own = [place for place, line in known if is_of(kind, line)]
        taken = evenly(own, max(1, kind["rows"] // times))
        wanted |= {*taken}
        told = {"target": kind["target"], "rows": kind["rows"]}
        notes.append(say("augment.for_target", **told, taken=len(taken), most=len(taken) * times))
    if not wanted:
        raise DataError(Problem(source, say("augment.none_wanted", kinds=_names(kinds))))
    return wanted, notes


def _run(target: str) -> Run:
    """Finds the run in whose folder the file lies."""
    for folder in Path(target).resolve().parents:
        found = RunFolder(folder)
        if found.run_yaml.is_file():
            return found.resolved().run
    raise SpecError(Problem("target", say("augment.no_run", target=target)))


def _kinds(target: str) -> list[JsonObject]:
    faults, kinds = Faults(), list[JsonObject]()
    for file in find_data(target):
        for located in rows_of(file, faults=faults):
            row = located.row
            whole = row.keys() >= NEEDED and ("words" in row or row.keys() >= SLICE)
            if whole and isinstance(row["rows"], int) and row.get("words", ["-"]):
                kinds.append(row)
            else:
                faults.add(Problem(located.where, say("augment.no_target")))
    faults.stop()
    return kinds


def _names(kinds: Sequence[JsonObject]) -> str:
    return "; ".join(str(kind["target"]) for kind in kinds)
