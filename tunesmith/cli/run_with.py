"""The run of a verb, and which of its models the verb looks at."""

from __future__ import annotations

import re
from pathlib import Path

from tunesmith.errors import Problem, SpecError
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say


def run_with(run: Path, which: str) -> RunFolder:
    """Returns the run's folder, set to ``model``, ``best`` or a checkpoint."""
    folder = RunFolder(run, which)
    choices = ["model", "best", *(f"step-{step}" for step in folder.models_of_steps)]
    if which not in ("model", "best") and re.fullmatch(r"step-\d+", which) is None:
        choices = [*choices, "step-N"] if len(choices) == 2 else choices
        raise SpecError(
            Problem("--which", say("cli.bad_choice", value=which, known=", ".join(choices)))
        )
    folder.resolved()
    if which == "best" and not folder.model.is_dir():
        raise SpecError(Problem(str(folder.model), say("cli.no_best")))
    if which != "model" and not folder.model.is_dir():
        text = say("cli.no_step", value=which, known=", ".join(choices[2:]) or "–")
        raise SpecError(Problem("--which", text))
    return folder
