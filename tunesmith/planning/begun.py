"""Work of many trainings keeps its settings in its folder, so that the same command goes on with
it, and another one is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.planning.lines import leaves
from tunesmith.settings.resolved import Resolved
from tunesmith.settings.run import Run, read_run
from tunesmith.storage.atomic import write_whole
from tunesmith.words import say


def begin(file: Path, run: Run, *, may_change: Collection[str]) -> None:
    """Writes the settings to ``file``, whose name is that of the work (``search.yaml``), where
    ``refuse_other`` has nothing against it.
    """
    refuse_other(file, run, may_change=may_change)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, Resolved(run).dump())


def refuse_other(file: Path, run: Run, *, may_change: Collection[str]) -> None:
    """Raises SpecError where the folder of ``file`` holds such work with other settings than those
    that ``may_change``, or something else.
    """
    kind = say(f"spec.work_{file.stem}")
    out = file.parent
    if file.is_file():
        then = _flat(read_run(file), may_change)
        now = _flat(run, may_change)
        changed = [
            Problem(name, say("spec.work_changed", kind=kind, then=then.get(name), now=now[name]))
            for name in now
            if then.get(name) != now[name]
        ]
        if changed:
            may = ", ".join(sorted(name for name in may_change if "." in name))
            text = say("spec.other_work", kind=kind, out=out, may=may)
            raise SpecError([*changed, Problem("out", text)])
    elif out.exists() and any(entry.name != ".lock" for entry in out.iterdir()):
        raise SpecError(Problem("out", say("spec.no_work", kind=kind, out=out)))


def _flat(run: Run, may_change: Collection[str]) -> JsonObject:
    below = tuple(f"{path}." for path in may_change)
    return {
        path: value
        for path, value in leaves(run)
        if path not in may_change and not path.startswith(below)
    }
