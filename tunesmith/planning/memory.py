"""What a run costs in memory and on disk, from the model's config, the headers of its safetensors
and the data alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from tunesmith.machine.disk import Disk, disk_of
from tunesmith.machine.memory import GIB
from tunesmith.planning.shape import Shape
from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS
from tunesmith.settings.run import Machine, Run
from tunesmith.storage.headers import weights_in

OVERHEAD = {"cpu": 0.7 * GIB, "cuda": 1.2 * GIB, "mps": 0.7 * GIB}
"""The interpreter with its libraries, and on a GPU the context and the library workspaces."""


@dataclass(frozen=True)
class Memory:
    """A range (bytes), from terms that can be read one by one."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    overhead: float
    beside: float = 0.0
    """Weights of the models beside the policy."""

    @property
    def low(self) -> float:
        """The estimate with activations as counted: what is certainly needed."""
        return (
            self.weights
            + self.gradients
            + self.optimizer
            + self.activations
            + self.logits
            + self.overhead
            + self.beside
        )

    @property
    def high(self) -> float:
        """The estimate with activations and logits taken twice, for what autograd and the allocator
        hold beside the vectors that are counted.

        Measured: 1.6 times the counted activations, 2021 tokens on a 135M Llama with LoRA on all
        linear layers, CPU, fp32. Loading holds a quarter of the weights once more.
        """
        return self.low + self.activations + self.logits + 0.25 * self.weights


@dataclass(frozen=True)
class Parts:
    """Over how many processes each kind of weight is divided; 1 where each holds the whole."""

    frozen: int = 1
    trained: int = 1
    gathers: bool = False
    """Whether a process holds the largest block whole besides, while it computes."""

    @classmethod
    def of(cls, run: Run, processes: int) -> Parts:
        """Returns what ``train.machine.shard`` divides: adapters stay whole."""
        if run.train.machine.shard == "none":
            return cls()
        trained = 1 if METHODS.get(run.method.name).adapter else processes
        return cls(processes, trained, run.train.machine.shard == "fsdp")


def with_copies(form: Shape, run: Run) -> Shape:
    """Adds to the policy's shape the models like it that are trained beside it."""
    names = OBJECTIVES.make(run.objective).roles
    if not names:
        return form
    from tunesmith.models.roles import roles_of

    times = 1 + sum(role.copies for role in roles_of(names, run))
    return replace(
        form,
        parameters=times * form.parameters,
        trainable=times * form.trainable,
        linear=times * form.linear,
        kept=(times * form.kept[0], times * form.kept[1]),
    )


def memory(
    form: Shape, run: Run, *, width: int, tokens: int, activation_bytes: float, parts: Parts
) -> Memory:
    """Estimates the memory of one process for one micro-batch of ``tokens``; ``width`` is bytes of
    a frozen weight.

    - weights: frozen * width + trainable * 4; what is trained is fp32, quantised ones take BYTES
    - gradients: trainable * 4
    - optimizer: trainable * state_bytes (of the optimizer)
    - activations: tokens * activation_bytes (10 vectors of the width and 4 of the feed-forward a
      block)
    - logits: 3 * min(tokens * vocabulary * 4, chunk) (a chunk, its softmax and its gradient)

    Divided weights, and what belongs to trained ones, count by their parts. What stands outside of
    blocks is held whole besides, with ``fsdp`` the largest block, too; with ``tensor`` what belongs
    to it as well.
    """
    chunk = max(_chunk(run.train.machine), 128 * form.vocabulary * 4)
    kept = OPTIMIZERS.get(run.train.optimizer.name).state_bytes
    trained = form.trainable / parts.trained
    if parts.trained > 1 and not parts.gathers:
        trained += form.outside
    return Memory(
        weights=weights_of(form, run, width, parts),
        gradients=trained * 4.0,
        optimizer=float(trained * kept),
        activations=tokens * activation_bytes,
        logits=3.0 * min(tokens * form.vocabulary * 4, chunk),
        overhead=OVERHEAD.get(run.train.machine.device, OVERHEAD["cpu"]),
    )


def _chunk(machine: Machine) -> float:
    """Returns the most bytes of a chunk of logits: on a GPU more, but a share of its memory."""
    from tunesmith.models.calling.chunks import CHUNK_BYTES, GPU_CHUNK_BYTES, GPU_SHARE

    if machine.device == "cpu":
        return CHUNK_BYTES
    return min(GPU_CHUNK_BYTES, (machine.memory or math.inf) * GIB * GPU_SHARE)


def weights_of(form: Shape, run: Run, width: int, parts: Parts) -> float:
    """Counts the bytes of the policy's weights that one process holds."""
    trained = form.trainable * 4.0
    frozen = form.bytes(width, run.model.quantize) - trained
    besides = 0
    if parts.frozen > 1:
        besides = form.outside + (form.block if parts.gathers else 0)
    each = 4.0 if parts.trained > 1 else width
    return frozen / parts.frozen + trained / parts.trained + besides * each


def beside(run: Run, width: int) -> float:
    """Counts the bytes of the models that are loaded beside the policy, ``width`` bytes a
    weight.
    """
    from tunesmith.training.sources import SOURCES

    folders: list[Path | None] = [*SOURCES.make(run.source).folders()]
    names = OBJECTIVES.make(run.objective).roles
    if names:
        from tunesmith.models.roles import roles_of

        folders += [role.folder() for role in roles_of(names, run)]
    return float(
        sum(
            width * weights_in(folder)
            for folder in folders
            if folder is not None and (folder / "config.json").is_file()
        )
    )


def disk(form: Shape, run: Run) -> Disk:
    """Does the same for a model that is not loaded."""
    adapter = METHODS.get(run.method.name).adapter
    saved = 4 * (form.trainable if adapter else form.parameters)
    return disk_of(with_copies(form, run).trainable, saved, run)
