"""The models that an objective needs beside the policy: each in evaluation mode, without gradient,
and left as it is.

An offline reference costs no memory: its log-probabilities are taken from the base before the
method touches it (``training/reference.py``). Where it is wanted later it is the policy with its
adapter off, if that gives the base back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.batches.batch import Batch
from tunesmith.errors import ModelError, Problem, SpecError
from tunesmith.models.calling.views import Head, Seen, see
from tunesmith.models.finding.hub import folder_of
from tunesmith.models.loading.load import load_model, load_tokenizer
from tunesmith.models.structure.kinds import kind_of, load_config
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.methods import Method


@dataclass(frozen=True)
class Role:
    """A model that is only looked at; ``switched`` says that it is the policy, whose adapter is off
    meanwhile.
    """

    model: Any
    layout: str
    switched: bool = False

    def see(self, batch: Batch) -> Seen:
        """One forward over ``batch``, which may be laid out for the policy."""
        batch = (
            batch.padded() if self.layout == "padded" and batch.layout.forest is not None else batch
        )
        with torch.no_grad(), as_base(self.model) if self.switched else _still(self.model):
            seen = see(self.model, batch)
        return (
            replace(seen, head=_Switched(**vars(seen.head), policy=self.model))
            if self.switched
            else seen
        )


@dataclass(frozen=True)
class _Switched(Head):
    """The head of the policy as it is with the adapter off."""

    policy: Any = None

    def logits(self, hidden_nD: torch.Tensor) -> torch.Tensor:
        """fp32 logits of the base ``[n, V]``."""
        with as_base(self.policy):
            return super().logits(hidden_nD)


def teacher_folder(run: Run, tokenizer: Any) -> Path | None:
    """The folder of the run's teacher; None where its objective has none, SpecError where it has
    another vocabulary.
    """
    if "teacher" not in OBJECTIVES.get(run.objective.name).roles:
        return None
    name = run.objective.teacher
    trust = run.model.trust_remote_code
    try:
        folder = folder_of(run.model.model_copy(update={"path": name, "revision": None}))
    except ModelError as error:
        # A model's ways out are given in the setting of the student.
        ways = say("hub.ways_model"), say("hub.ways_teacher")
        told = [f"{one.where}: {one.text.replace(*ways)}" for one in error.problems]
        raise SpecError(Problem("objective.teacher", text) for text in told) from None
    kind = kind_of(load_config(folder, trust_remote_code=trust))
    if kind == "encoder":
        told = say("load.teacher_reads", teacher=name, kind=say("heads.kind_encoder"))
        raise SpecError(Problem("objective.teacher", told))
    own, theirs = tokenizer.get_vocab(), load_tokenizer(folder, trust_remote_code=trust).get_vocab()
    if own != theirs:
        differing = sum(own.get(token) != theirs.get(token) for token in {*own, *theirs})
        told = say(
            "load.other_vocabulary",
            teacher=name,
            own=len(own),
            theirs=len(theirs),
            differing=differing,
        )
        raise SpecError(
            Problem("objective.teacher", told + say("generate.instead", **_commands(run)))
        )
    return folder


def _commands(run: Run) -> dict[str, str]:
    """What the commands are made of that train on the teacher's text."""
    data = run.data.path if isinstance(run.data.path, str) else "FILE"
    return {
        "teacher": run.objective.teacher,
        "student": run.model.path,
        "data": data,
        "out": run.out,
    }


def teacher(folder: Path, run: Run, *, dtype: torch.dtype, device: Any) -> Role:
    """The teacher, loaded to be looked at."""
    loaded = load_model(
        folder, dtype=dtype, device=device, trust_remote_code=run.model.trust_remote_code
    )
    return Role(loaded.model, loaded.layout)


def reference_at_hand(model: Any, layout: str, method: Method) -> Role | None:
    """The base behind the policy's adapter; None where switching it off does not give the base
    back.
    """
    return (
        Role(model, layout, switched=True) if method.adapter and not method.rewrites_base else None
    )


@contextmanager
def as_base(model: Any) -> Iterator[None]:
    """``model`` with its adapter off and in evaluation mode; afterwards all is as it was, what
    takes gradient too.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    with _still(model):
        try:
            with model.disable_adapter():
                yield
        finally:
            # peft makes all of an adapter trainable when it is switched on again, what its method
            # froze too.
            for parameter in trained:
                parameter.requires_grad_(True)
            for parameter in frozen:
                parameter.requires_grad_(False)


@contextmanager
def _still(model: Any) -> Iterator[None]:
    """``model`` in evaluation mode, so that dropout is off."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
