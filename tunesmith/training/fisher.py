"""The diagonal Fisher information of a model's weights on rows of what it should keep (Kirkpatrick
et al. 2017, eq. 3): the mean over sequences of the squared gradient of each one's log-likelihood.

One backward a sequence: the square of a batch's mean gradient is about 1/B of it. Labels are drawn
from the model, a token a position, or those of the data (the empirical Fisher information).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tunesmith.batches.batch import Batch, Tokens
from tunesmith.errors import CheckpointError, DataError, Problem, SpecError
from tunesmith.models.calling.drawing import drawn
from tunesmith.models.calling.views import see
from tunesmith.models.finding.parent import parent_of
from tunesmith.models.roles.fisher import rows_source
from tunesmith.proving.task import evenly
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared
    from tunesmith.events.stream import Events
    from tunesmith.machine.device import Device
    from tunesmith.models.loading.load import Loaded
    from tunesmith.models.roles.start import FromStart, Moving
    from tunesmith.objectives.ewc import Ewc, Labels
    from tunesmith.settings.run import Run

KEPT = torch.bfloat16
"""Two bytes a weight; a value is right to 0.4 %, which is far less than what the draws vary."""


@dataclass
class Fisher:
    """``values`` by weight; ``told`` says what they were measured on."""

    values: dict[str, torch.Tensor]
    told: dict[str, Any]

    def write(self, path: Path) -> None:
        """Writes the file, whole."""
        tensors = {name: value.contiguous().cpu() for name, value in self.values.items()}
        write_whole(path, save(tensors, metadata={"told": json.dumps(self.told)}))

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        # The values lie in the run's folder already, and are as large as the model.
        digest = hashlib.sha256()
        for name in sorted(self.values):
            digest.update(self.values[name].cpu().contiguous().view(torch.int16).numpy().tobytes())
        return {"sha256": digest.hexdigest()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Raises CheckpointError where the checkpoint was trained with other values."""
        if state != self.state():
            raise CheckpointError(say("ewc.other_values"))


@dataclass(frozen=True)
class Asked:
    """A run that is to be held, with its model as it begins."""

    run: Run
    model: Loaded
    prepared: Prepared
    device: Device
    events: Events

    @property
    def config(self) -> Ewc.Config:
        """The settings of ``ewc``."""
        return self.run.objective


def measured(
    model: Loaded,
    moving: Sequence[Moving],
    sequences: Sequence[Tokens],
    *,
    labels: Labels,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, torch.Tensor]:
    """Computes the mean over ``sequences`` of the squared gradient of each, fp32, by weight;
    dropout is off, and the generators of the run are not moved.
    """
    weights = [weight_moving.weight for weight_moving in moving]
    sums = {}
    takes = [weight.requires_grad for weight in weights]
    draws = np.random.default_rng(seed)
    training = model.model.training
    model.model.eval()
    for weight in weights:
        # With a LoRA they are weights of the base, which are frozen.
        weight.requires_grad_(True)
    try:
        for number, tokens in enumerate(sequences):
            total = _log_likelihood(model, tokens, labels, draws)
            # Not ``backward``: the run's own ``grad`` stays as it is.
            gradients = torch.autograd.grad(total, weights, allow_unused=True)
            for weight_moving, gradient in zip(moving, gradients, strict=True):
                if gradient is None:
                    continue
                if weight_moving.name not in sums:
                    sums[weight_moving.name] = torch.zeros(gradient.shape, device=gradient.device)
                # Squares of small gradients are below what bf16 tells apart from their sum.
                sums[weight_moving.name].addcmul_(gradient.float(), gradient.float())
            progress(number + 1, len(sequences))
    finally:
        model.model.train(training)
        for weight, took in zip(weights, takes, strict=True):
            weight.requires_grad_(took)
    # Some are reached by no sequence, such as those of an idle expert.
    for weight_moving in moving:
        if weight_moving.name not in sums:
            sums[weight_moving.name] = torch.zeros_like(weight_moving.weight, dtype=torch.float32)
    return {
        weight_moving.name: sums[weight_moving.name].div_(len(sequences))
        for weight_moving in moving
    }


def _log_likelihood(
    model: Loaded, tokens: Tokens, labels: Labels, draws: np.random.Generator
) -> torch.Tensor:
    """Computes the weighted log-likelihood of one sequence's labels, as a sum over its tokens."""
    batch = model.lay(Batch.grow([[tokens]]))
    seen = see(model.model, batch)
    logprobs_NV = seen.head.logits(seen.features("scored")).float().log_softmax(-1)
    targets_N = batch.targets_N
    if labels == "drawn":
        targets_N = drawn(logprobs_NV.detach(), draws.random(len(targets_N)).tolist())[:, 0]
    return (batch.weights_N * logprobs_NV.gather(1, targets_N[:, None])[:, 0]).sum()


def find(ready: Asked, start: FromStart, *, path: Path, key: dict[str, str]) -> Fisher:
    """Reads the values from the file at ``path`` where they are of this ``key``, and measures them
    otherwise, on rows of what is to be kept; what the run before was held by counts too, times
    gamma (Schwarz et al. 2018, eq. 9).
    """
    kept = _read(path)
    if kept is not None and kept.told["key"] == key:
        ready.events.tell(say("ewc.read", path=path))
        return kept
    config = ready.config
    source, sequences = kept_rows(ready)
    phase = say("ewc.phase")
    began = time.perf_counter()
    with ready.device.autocast():
        values = measured(
            ready.model,
            start.moving,
            sequences,
            labels=config.labels,
            seed=ready.run.train.seed,
            progress=lambda done, of: ready.events.phase(phase, done, of),
        )
    facts = {"key": key, "rows": len(sequences), "labels": config.labels, "source": source}
    parent = parent_of(ready.run.model.path)
    before = _read(parent.folder.fisher) if parent else None
    if before is not None and config.gamma:
        facts |= {"gamma": config.gamma, "before": before.told}
        for name, value in before.values.items():
            if name in values:
                values[name] += config.gamma * value.to(values[name])
    seconds = f"{time.perf_counter() - began:.0f}"
    shown = say("ewc.also", run=parent.folder.path) if parent and "before" in facts else ""
    said = {"rows": len(sequences), "source": source, "seconds": seconds, "also": shown}
    ready.events.tell(say(f"ewc.measured_{config.labels}", **said))
    return Fisher({name: value.to(KEPT) for name, value in values.items()}, facts)


def kept_rows(ready: Asked) -> tuple[str, list[Tokens]]:
    """Returns where the rows are by which the model is held, and at most ``examples`` of their
    sequences: the training rows of a run, or all of a file; raises SpecError or DataError at
    ``objective.rows``.
    """
    source = rows_source(ready.run)
    try:
        rows = _read_rows(ready, source)
    except (DataError, SpecError) as error:
        problems = [
            Problem(f"objective.rows: {problem.where}", problem.text) for problem in error.problems
        ]
        raise type(error)(problems) from None
    # The row's columns, such as a reference, belong to the objective that it was prepared for.
    sequences = [
        replace(tokens, columns={})
        for item in evenly(rows.train, ready.config.examples)
        for tokens in item.tokens
        if tokens.weights_T.any()
    ]
    if not sequences:
        raise SpecError(Problem("objective.rows", say("ewc.no_sequences", source=source)))
    return source, sequences


def _read_rows(ready: Asked, source: str) -> Prepared:
    """Reads the rows of a run as it read them, or those of a file."""
    from tunesmith.data.prepare_once import prepare_once
    from tunesmith.training.sources._earlier import rows_of_run

    folder = RunFolder(Path(source))
    run = ready.run
    tokenizer, phase = ready.prepared.render.tokenizer, ready.events.phase
    if folder.run_yaml.is_file():
        reads = folder.resolved().run.model_copy(update={"data": run.data})
        return rows_of_run(folder, reads, tokenizer, phase)
    changed = {"path": source, "columns": None, "reader": None}
    changed |= {"held_out": 0, "limit": None, "split_by": None}
    data = run.data.model_copy(update=changed)
    every = run.train.model_copy(update={"rows": None})
    reads = run.model_copy(update={"data": data, "train": every})
    return prepare_once(reads, tokenizer, progress=phase)


def _read(path: Path) -> Fisher | None:
    """Reads a file that ``Fisher.write`` wrote; None where there is none that can be used."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["told"])
            return Fisher({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
