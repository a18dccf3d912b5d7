"""That the processes of a run were all asked for the same: where one has other rows, another base
or another setting, each would train another model, and nobody would see it.
"""

from __future__ import annotations

from pathlib import Path

from tunesmith.data.prepare import Prepared
from tunesmith.errors import Problem, SpecError
from tunesmith.machine.parallel import Processes
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Run
from tunesmith.training.keeping.state import base_fingerprint, identity
from tunesmith.words import say

OWN = ("model.path", "data.path", "given")
"""What a process has for itself: machines may hold the same files at different places."""
OF_ALL = {"shard", "precision", "checkpointing"}
"""Settings of the machine that all have in common."""


def refuse_unlike(run: Run, prepared: Prepared, base: Path, processes: Processes) -> None:
    """Raises SpecError, in every process, that names what one of them has and the first has not."""
    if not processes.several:
        return
    asked = {
        **identity(run, prepared.all_rows, base_fingerprint(base), run.train.micro_tokens or 0),
        **run.train.machine.model_dump(mode="json", include=OF_ALL),
    }
    here = {name: value for name, value in asked.items() if name not in OWN}
    first, *others = processes.everyones(here)
    unlike = [
        text for number, theirs in enumerate(others, 1) for text in _unlike(number, first, theirs)
    ]
    if unlike:
        raise SpecError(Problem("processes", say("train.unlike", listed="; ".join(unlike))))


def _unlike(number: int, first: JsonObject, theirs: JsonObject) -> list[str]:
    """Says what process ``number`` has that the first has not. Settings follow from rows and base,
    so that these are told alone.
    """
    files = [name for name in ("data", "base") if theirs[name] != first[name]]
    if files:
        return [say(f"train.unlike_{name}", number=number) for name in files]
    return [
        say(
            "train.version_of", number=number, name=name, then=first.get(name), now=theirs.get(name)
        )
        for name in sorted({*first, *theirs})
        if first.get(name) != theirs.get(name)
    ]
