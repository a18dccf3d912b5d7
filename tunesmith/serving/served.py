"""The runs that are served: what each is called, and what is wrong with them before any weights
load.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.export.folders.lora import is_plain
from tunesmith.machine.memory import GIB, total_and_free
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.saved import FACTS
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.headers import weights_in
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.predicting.predictor import Predictor
    from tunesmith.serving.alone import Alone
    from tunesmith.serving.engine import Engine
    from tunesmith.serving.grammar import Grammars
    from tunesmith.serving.reader import Reader

NAME = re.compile(r"^[\w.-]+$")


@dataclass(frozen=True)
class Asked:
    """A run that is to be served, under the name that requests give as ``model``."""

    name: str
    folder: RunFolder
    run: Run
    mixes: bool
    """Whether it is an adapter that stands in one batch with others on its base."""
    tuned: bool = True
    """False for the base of the run, in the run's own template and settings."""

    @property
    def base(self) -> tuple[str, str | None]:
        """The base's folder and how it is rounded: runs in which they are equal share one."""
        return str(folder_of(self.run.model)), self.run.model.quantize

    @property
    def weights(self) -> int:
        """The number of weights that are loaded for it alone."""
        if not self.tuned:
            return weights_in(Path(self.base[0]))
        model = self.folder.model
        adapter = (model / "adapter_config.json").is_file()
        return weights_in(Path(self.base[0])) if adapter else weights_in(model)


@dataclass
class Served:
    """A model that answers under ``name``."""

    name: str
    predictor: Predictor
    adapter: str = ""
    engine: Engine | Alone | None = None
    """What writes, for a model that does."""
    reader: Reader | None = None
    """What reads, for one that does not write."""
    grammars: Grammars | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def endpoints(self) -> frozenset[str]:
        """The routes at which it answers."""
        return self.predictor.objective.output.endpoints


def asked_runs(words: Sequence[str], which: Callable[[Path], RunFolder]) -> list[Asked]:
    """Reads ``RUN`` and ``NAME=RUN``; raises SpecError with all that is wrong, before weights
    load.
    """
    runs: list[Asked] = []
    problems: list[Problem] = []
    for word in words:
        named = "=" in word and not Path(word).exists()
        name, _, path = word.partition("=") if named else ("", "", word)
        folder = which(Path(path))
        name = name or Path(path).resolve().name
        if not NAME.match(name):
            problems.append(Problem(word, say("serve.bad_name", name=name)))
        if any(other.name == name for other in runs):
            problems.append(Problem(word, say("serve.same_name", name=name)))
        if not (folder.model / FACTS).is_file():
            key = "load.still_training" if folder.busy else "load.no_run_model"
            problems.append(Problem(word, say(key, folder=str(folder.path))))
            continue
        run = folder.resolved().run
        if not OBJECTIVES.make(run.objective).output.endpoints:
            problems.append(Problem(word, say("serve.cannot", objective=run.objective.name)))
            continue
        runs.append(Asked(name, folder, run, mixes(folder, run)))
    if problems:
        raise SpecError(problems)
    return runs


def with_bases(runs: Sequence[Asked]) -> list[Asked]:
    """Adds the base of each run that writes, once, under its own name where no run has that."""
    served = list(runs)
    for run in runs:
        name = Path(run.run.model.path).name
        has_base = any(other.base == run.base for other in served if not other.tuned)
        taken = has_base or any(other.name == name for other in served)
        if not taken and NAME.match(name) and OBJECTIVES.make(run.run.objective).output.writes:
            served.append(replace(run, name=name, mixes=False, tuned=False))
    return served


def mixes(folder: RunFolder, run: Run) -> bool:
    """Tells whether rows of this adapter can stand in one batch with others'."""
    changed = METHODS.make(run.method).rewrites_base or run.model.add_tokens
    return not changed and is_plain(folder.model)


def refuse_too_large(runs: Sequence[Asked]) -> None:
    """Raises SpecError where the weights alone need more memory than is free."""
    shared = {run.base: run.weights for run in runs if run.mixes}
    apart = [run for run in runs if not run.mixes and (run.tuned or run.base not in shared)]
    weights = sum(shared.values()) + sum(run.weights for run in apart)
    _, free = total_and_free()
    needed = 4.0 * weights
    if free is not None and needed > free:
        text = say("serve.too_large", needed=f"{needed / GIB:.1f}", free=f"{free / GIB:.1f}")
        raise SpecError(Problem(", ".join(run.name for run in runs), text))
