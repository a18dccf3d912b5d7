"""What a run costs in memory and on disk, from the model's config, the headers of its safetensors
and the data alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import ModelError, Problem, SpecError, first_line
from tunesmith.examples import Outputs
from tunesmith.machine.disk import Disk, disk_of
from tunesmith.machine.memory import GIB
from tunesmith.models.loading.load import outline
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.structure.added_tokens import grow
from tunesmith.models.structure.layers import linear_layers, size_of
from tunesmith.models.structure.quantize import BYTES
from tunesmith.planning.rules import model_fits
from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS
from tunesmith.settings.run import Run
from tunesmith.storage.headers import weights_in
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

OVERHEAD = {"cpu": 0.7 * GIB, "cuda": 1.2 * GIB, "mps": 0.7 * GIB}
"""The interpreter with its libraries, and on a GPU the context and the library workspaces."""


@dataclass(frozen=True)
class Shape:
    """A model without its weights. ``limit`` is the longest row that it takes (tokens), None where
    it says none.

    What a method's virtual tokens take of a row is not in it. ``linear`` counts the weights that
    quantisation rounds.
    """

    model: torch.nn.Module
    parameters: int
    trainable: int
    limit: int | None
    vocabulary: int
    linear: int

    def bytes(self, width: int, quantize: str | None) -> float:
        """All weights: ``width`` bytes each, those that are trained 4, and quantised ones what they
        take.
        """
        rounded = self.linear if quantize else 0
        each = BYTES[quantize] if quantize else 0.0
        return (
            (self.parameters - self.trainable - rounded) * width
            + rounded * each
            + self.trainable * 4.0
        )


TWO = Outputs(("0", "1"), "single_label_classification")
"""The outputs of a head of classes before the rows are read."""


def shape(folder: Path, run: Run, outputs: Outputs = TWO) -> Shape:
    """The model with the method applied, without memory for weights; SpecError or ModelError where
    the two do not fit.

    ``outputs`` are those of a head of classes, known once the rows are read.
    """
    import torch

    from tunesmith.models.structure.kinds import kind_of, load_config
    from tunesmith.models.structure.layers import longest_row

    objective, trust = OBJECTIVES.make(run.objective), run.model.trust_remote_code
    head, writes = objective.head, objective.output.writes
    config = load_config(folder, trust_remote_code=trust)
    wrong = list(model_fits(run, kind_of(config)))
    if wrong:
        raise SpecError(wrong)
    try:
        model = outline(folder, config, head, outputs, trust_remote_code=trust)
    except (KeyError, AttributeError, ImportError) as error:
        told = say("plan.cannot_build", error=first_line(error))
        raise ModelError(Problem("model", told)) from None
    if run.model.add_tokens:
        with torch.device("meta"):
            grow(model, load_tokenizer(folder, trust_remote_code=trust), run.model.add_tokens)
    model.requires_grad_(False)
    linear = sum(math.prod(size_of(layer)) for layer in linear_layers(model).values())
    before = sum(parameter.numel() for parameter in model.parameters())
    method = METHODS.make(run.method)
    with torch.device("meta"):
        changed = method.apply(model)
    trainable = sum(
        parameter.numel() for parameter in changed.parameters() if parameter.requires_grad
    )
    text = config.get_text_config().to_dict()
    limit = longest_row(model, text)
    # What a method adds is not in the headers; the base's weights are, whatever the class makes of
    # them, where it writes. Another head is not in them, but the one that it replaces is, and
    # tables of places beside.
    base = weights_in(folder) if writes and (folder / "config.json").is_file() else before
    own = sum(parameter.numel() for parameter in changed.parameters()) - before
    limit = limit - method.virtual_tokens if limit else None
    return Shape(changed, base + own, trainable, limit, int(text.get("vocab_size") or 0), linear)


def with_classes(
    form: Shape | None, folder: Path, run: Run, outputs: Outputs | None
) -> Shape | None:
    """``form`` with as many outputs as the rows have classes, where its head is one of classes."""
    return form if form is None or outputs is None else shape(folder, run, outputs)


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
        """With activations as counted: what is certainly needed."""
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
        """Activations and logits taken twice, for what autograd and the allocator hold beside the
        vectors that are counted.

        Measured: 1.6 times the counted activations, 2021 tokens on a 135M Llama with LoRA on all
            linear layers, CPU, fp32.
        Loading holds a quarter of the weights once more.
        """
        return self.low + self.activations + self.logits + 0.25 * self.weights


def memory(form: Shape, run: Run, *, width: int, tokens: int, activation_bytes: float) -> Memory:
    """The estimate for one micro-batch of ``tokens``; ``width`` is bytes of a frozen weight.

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
    """Bytes of the models that are loaded beside the policy, ``width`` bytes a weight."""
    from tunesmith.models.roles import roles_of

    folders = [role.folder() for role in roles_of(OBJECTIVES.make(run.objective).roles, run)]
    return float(
        sum(
            width * weights_in(folder)
            for folder in folders
            if folder is not None and (folder / "config.json").is_file()
        )
    )


def disk(form: Shape, run: Run) -> Disk:
    """The same for a model that is not loaded."""
    adapter = METHODS.get(run.method.name).adapter
    return disk_of(form.trainable, 4 * (form.trainable if adapter else form.parameters), run)
