"""The teacher of distillation: a larger model with the student's vocabulary.

What it may be is checked before anything is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tunesmith.errors import ModelError, Problem, SpecError
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.loading.load import Loaded, load_model
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.roles import ROLES, FrozenModel, Role
from tunesmith.models.structure.kinds import kind_of, load_config
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.tokenizers import Tokenizer
    from tunesmith.methods import Method


@ROLES.register
class Teacher(Role):
    """The model of ``objective.teacher``."""

    def check(self, tokenizer: Tokenizer) -> None:
        """Raises SpecError where the teacher is missing, writes nothing, or has another
        vocabulary.
        """
        _checked(self.run, tokenizer)

    def folder(self) -> Path | None:
        """Returns the teacher's folder."""
        return _found(self.run)

    def load(self, dtype: torch.dtype, device: torch.device) -> None:
        """Loads it to be looked at."""
        trust = self.run.model.trust_remote_code
        folder = _found(self.run)
        loaded = load_model(folder, dtype=dtype, device=device, trust_remote_code=trust)
        self.looked_at = FrozenModel(loaded.model, loaded.layout)

    def model(self, policy: Loaded, method: Method) -> FrozenModel:
        """Returns the loaded model."""
        return self.looked_at


def _named(run: Run) -> tuple[str, str]:
    """Returns the setting that names the teacher, and the teacher; the objective may be inside
    another.
    """
    folders = OBJECTIVES.make(run.objective).folders()
    key = next(key for key in folders if key.endswith("teacher"))
    return f"objective.{key}", folders[key]


def _found(run: Run) -> Path:
    """Finds the teacher's folder; raises SpecError where there is none."""
    where, name = _named(run)
    try:
        return folder_of(run.model.model_copy(update={"path": name, "revision": None}))
    except ModelError as error:
        # A model's ways out are given in the setting of the student.
        ways = say("hub.ways_model"), say("hub.ways_teacher")
        texts = [f"{problem.where}: {problem.text.replace(*ways)}" for problem in error.problems]
        raise SpecError(Problem(where, text) for text in texts) from None


def _checked(run: Run, tokenizer: Tokenizer) -> None:
    (where, name), trust, folder = _named(run), run.model.trust_remote_code, _found(run)
    kind = kind_of(load_config(folder, trust_remote_code=trust))
    if kind == "encoder":
        text = say("load.teacher_reads", teacher=name, kind=say("heads.kind_encoder"))
        raise SpecError(Problem(where, text))
    ours = tokenizer.get_vocab()
    theirs = load_tokenizer(folder, trust_remote_code=trust).get_vocab()
    if ours != theirs:
        differing = sum(ours.get(token) != theirs.get(token) for token in {*ours, *theirs})
        text = say(
            "load.other_vocabulary",
            teacher=name,
            own=len(ours),
            theirs=len(theirs),
            differing=differing,
        )
        raise SpecError(Problem(where, text + say("generate.instead", **_commands(run))))


def _commands(run: Run) -> dict[str, str]:
    """Returns the values for the commands that train on the teacher's text."""
    data = run.data.path if isinstance(run.data.path, str) else "FILE"
    return {
        "teacher": _named(run)[1],
        "student": run.model.path,
        "data": data,
        "out": run.out,
    }
