"""Counts a model and what a method trains of it, without memory for weights. What was counted is
kept in the cache, for building the model costs seconds of imports.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import tunesmith
from tunesmith.errors import ModelError, Problem, SpecError, first_line
from tunesmith.examples import Outputs
from tunesmith.models.structure.quantize import BYTES
from tunesmith.planning.rules import model_fits
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.atomic import write_whole
from tunesmith.storage.cache import cache_folder
from tunesmith.storage.headers import weights_in
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.methods import Method

KEPT = 200
"""Counts of each kind that the cache holds at most: 200 bytes with a method, and for a base 40
bytes a layer.
"""


@dataclass(frozen=True)
class Shape:
    """A model without its weights. ``limit`` is the longest row that it takes (tokens), None where
    it says none.

    What a method's virtual tokens take of a row is not in it. ``linear`` counts the weights that
    quantisation rounds. ``kept`` are the numbers that a token keeps for the backward pass, as they
    are and with gradient checkpointing. ``block`` counts the weights of the largest block,
    ``outside`` those that stand in none.
    """

    kind: str
    parameters: int
    trainable: int
    limit: int | None
    vocabulary: int
    linear: int
    kept: tuple[float, float]
    block: int
    outside: int

    def bytes(self, width: int, quantize: str | None) -> float:
        """Counts the bytes of all weights: ``width`` bytes each, trained ones 4, and quantised ones
        their own size.
        """
        rounded = self.linear if quantize else 0
        each = BYTES[quantize] if quantize else 0.0
        return (
            (self.parameters - self.trainable - rounded) * width
            + rounded * each
            + self.trainable * 4.0
        )


@dataclass(frozen=True)
class Base:
    """What a model is before a method changes it; ``layers`` are the sizes of its linear layers.
    The other fields are those of ``Shape``.
    """

    kind: str
    parameters: int
    limit: int | None
    vocabulary: int
    layers: dict[str, tuple[int, int]]
    kept: tuple[float, float]
    block: int
    outside: int

    def with_method(self, method: Method, *, added: int, trainable: int) -> Shape:
        """Returns the shape with a method that adds and trains so many weights."""
        return Shape(
            self.kind,
            self.parameters + added,
            trainable,
            self.limit - method.virtual_tokens if self.limit else None,
            self.vocabulary,
            sum(map(math.prod, self.layers.values())),
            self.kept,
            self.block,
            self.outside,
        )


BUILDING = (
    *(KeyError, AttributeError, ImportError),
    *(RuntimeError, ArithmeticError, AssertionError),  # sizes of 0 or below
)
"""What transformers and torch raise for a config of which no model can be made."""
TWO = Outputs(("0", "1"), "single_label_classification")
"""The outputs of a head of classes before the rows are read."""


def shape(folder: Path, run: Run, outputs: Outputs = TWO) -> Shape:
    """Returns the shape of the model with the method applied; raises SpecError or ModelError where
    the two do not fit.

    ``outputs`` are those of a head of classes, known once the rows are read.
    """
    notes = _notes(folder, run, outputs)
    noted = (_read(notes.shape, Shape) or _from_base(notes.base, run)) if notes else None
    if noted is not None:
        _refuse(run, noted.kind)
        return noted
    base, counted = _counted(folder, run, outputs)
    if notes is not None:
        _write(notes.base, base)
        _write(notes.shape, counted)
    return counted


def with_classes(
    form: Shape | None, folder: Path, run: Run, outputs: Outputs | None
) -> Shape | None:
    """Returns ``form`` with as many outputs as the rows have classes, where its head is one of
    classes.
    """
    return form if form is None or outputs is None else shape(folder, run, outputs)


def _refuse(run: Run, kind: str) -> None:
    wrong = list(model_fits(run, kind))
    if wrong:
        raise SpecError(wrong)


def _counted(folder: Path, run: Run, outputs: Outputs) -> tuple[Base, Shape]:
    """Counts the model itself, built from its config and the headers of its weights, before and
    after the method.
    """
    import torch

    from tunesmith.machine.micro_batch import activation_bytes
    from tunesmith.models.loading.load import outline
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.models.structure.added_tokens import grow
    from tunesmith.models.structure.kinds import kind_of, load_config
    from tunesmith.models.structure.layers import (
        largest_and_outside,
        linear_layers,
        longest_row,
        size_of,
    )

    objective = OBJECTIVES.make(run.objective)
    trust = run.model.trust_remote_code
    head, writes = objective.head, objective.output.writes
    config = load_config(folder, trust_remote_code=trust)
    kind = kind_of(config)
    _refuse(run, kind)
    try:
        model = outline(folder, config, head, outputs, trust_remote_code=trust)
    except BUILDING as error:
        reason = say("plan.cannot_build", error=first_line(error))
        raise ModelError(Problem("model", reason)) from None
    if run.model.add_tokens:
        with torch.device("meta"):
            grow(model, load_tokenizer(folder, trust_remote_code=trust), run.model.add_tokens)
    model.requires_grad_(False)
    before = sum(parameter.numel() for parameter in model.parameters())
    text = config.get_text_config().to_dict()
    # The headers hold the base's weights where it writes, whatever the class makes of them. Another
    # head is not in them, but the one that it replaces is, and tables of places beside.
    base = Base(
        kind,
        weights_in(folder) if writes and (folder / "config.json").is_file() else before,
        longest_row(model, text),
        int(text.get("vocab_size") or 0),
        {name: size_of(layer) for name, layer in linear_layers(model).items()},
        activation_bytes(config, 1),
        *largest_and_outside(model),
    )
    method = METHODS.make(run.method)
    with torch.device("meta"):
        changed = method.apply(model)
    sizes = [(weight.numel(), weight.requires_grad) for weight in changed.parameters()]
    return base, base.with_method(
        method,
        added=sum(size for size, _ in sizes) - before,
        trainable=sum(size for size, trained in sizes if trained),
    )


def _from_base(note: Path, run: Run) -> Shape | None:
    """Counts from what is known of the base alone, without the imports that building it costs;
    None where only the model itself tells.
    """
    base = _read(note, Base)
    method = METHODS.make(run.method)
    plain = OBJECTIVES.make(run.objective).output.writes and not run.model.add_tokens
    trained = method.counted(base.layers) if base is not None and plain else None
    if base is None or trained is None:
        return None
    return base.with_method(method, added=trained, trainable=trained)


@dataclass(frozen=True)
class _Notes:
    """The files that keep the counts of a base and of a method on it."""

    base: Path
    shape: Path


def _notes(folder: Path, run: Run, outputs: Outputs) -> _Notes | None:
    """Names the notes after all that the counts follow from: the folder's files, the settings, our
    code and the libraries'. None where other code has a part in it.
    """
    asked = run.model_dump_json(include={"model", "method", "objective"})
    ours = (type(METHODS.make(run.method)), type(OBJECTIVES.make(run.objective)))
    if (
        run.model.trust_remote_code
        or ".py" in asked
        or not all(plug_in.__module__.startswith("tunesmith.") for plug_in in ours)
    ):
        return None
    files = [*folder.iterdir(), *Path(tunesmith.__file__).parent.rglob("*.py")]
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(files)]
    libraries = {name: version(name) for name in ("torch", "transformers", "peft")}
    parts = {
        "bases": run.model_dump_json(include={"model", "objective"}),
        "shapes": asked,
    }
    return _Notes(
        *(
            cache_folder() / room / f"{_digest((of, outputs, states, libraries))}.json"
            for room, of in parts.items()
        )
    )


def _digest(facts: object) -> str:
    return sha256(repr(facts).encode()).hexdigest()[:32]


T = TypeVar("T", Base, Shape)


def _read(note: Path, kind: type[T]) -> T | None:
    """Reads a count back; None where there is none, or none of this form."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        return kind(**noted | {"kept": tuple(noted["kept"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(note: Path, found: Base | Shape) -> None:
    """Keeps a count; a cache that cannot be written costs only the time to count again."""
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        old = sorted(note.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in old[: max(len(old) + 1 - KEPT, 0)]:
            path.unlink(missing_ok=True)
        write_whole(note, json.dumps(asdict(found)))
