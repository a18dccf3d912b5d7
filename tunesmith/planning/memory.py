"""What a run costs in memory and on disk, from the model's config, the headers of its safetensors
and the data alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunesmith.machine.disk import Disk, disk_of
from tunesmith.machine.memory import GIB
from tunesmith.planning.shape import Shape
from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS
from tunesmith.settings.run import Run
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


def memory(form: Shape, run: Run, *, width: int, tokens: int, activation_bytes: float) -> Memory:
    """Estimates the memory for one micro-batch of ``tokens``; ``width`` is bytes of a frozen
    weight.

    weights      = frozen * width + trainable * 4          (what is trained is fp32; quantised ones
    take BYTES each) gradients    = trainable * 4 optimizer    = trainable * state_bytes
    (of the optimizer) activations  = tokens * activation_bytes               (10 vectors of the
    width and 4 of the feed-forward a block) logits       = 3 * min(tokens * vocabulary * 4, 64 MiB)
    (a chunk, its softmax and its gradient)
    """
    chunk = max(64 * 2**20, 128 * form.vocabulary * 4)
    kept = OPTIMIZERS.get(run.train.optimizer.name).state_bytes
    return Memory(
        weights=form.bytes(width, run.model.quantize),
        gradients=form.trainable * 4.0,
        optimizer=float(form.trainable * kept),
        activations=tokens * activation_bytes,
        logits=3.0 * min(tokens * form.vocabulary * 4, chunk),
        overhead=OVERHEAD.get(run.train.machine.device, OVERHEAD["cpu"]),
    )


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
    return disk_of(form.trainable, 4 * (form.trainable if adapter else form.parameters), run)
