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

KEPT = 200
"""Counts that the cache holds at most; each is some 200 bytes."""


@dataclass(frozen=True)
class Shape:
    """A model without its weights. ``limit`` is the longest row that it takes (tokens), None where
    it says none.

    What a method's virtual tokens take of a row is not in it. ``linear`` counts the weights that
    quantisation rounds. ``kept`` are the numbers that a token keeps for the backward pass, as they
    are and with gradient checkpointing.
    """

    kind: str
    parameters: int
    trainable: int
    limit: int | None
    vocabulary: int
    linear: int
    kept: tuple[float, float]

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


TWO = Outputs(("0", "1"), "single_label_classification")
"""The outputs of a head of classes before the rows are read."""


def shape(folder: Path, run: Run, outputs: Outputs = TWO) -> Shape:
    """Returns the shape of the model with the method applied; raises SpecError or ModelError where
    the two do not fit.

    ``outputs`` are those of a head of classes, known once the rows are read.
    """
    note = _note(folder, run, outputs)
    found = _read(note) if note is not None else None
    if found is not None:
        _refuse(run, found.kind)
        return found
    found = _counted(folder, run, outputs)
    if note is not None:
        _write(note, found)
    return found


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


def _counted(folder: Path, run: Run, outputs: Outputs) -> Shape:
    """Counts the same from the model itself, built from its config and the headers of its
    weights.
    """
    import torch

    from tunesmith.machine.micro_batch import activation_bytes
    from tunesmith.models.loading.load import outline
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.models.structure.added_tokens import grow
    from tunesmith.models.structure.kinds import kind_of, load_config
    from tunesmith.models.structure.layers import linear_layers, longest_row, size_of

    objective, trust = OBJECTIVES.make(run.objective), run.model.trust_remote_code
    head, writes = objective.head, objective.output.writes
    config = load_config(folder, trust_remote_code=trust)
    kind = kind_of(config)
    _refuse(run, kind)
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
    return Shape(
        kind,
        base + own,
        trainable,
        limit - method.virtual_tokens if limit else None,
        int(text.get("vocab_size") or 0),
        linear,
        activation_bytes(config, 1),
    )


def _note(folder: Path, run: Run, outputs: Outputs) -> Path | None:
    """Returns the file that keeps the counts, named after all that they follow from: the folder's
    files, the settings, our code and the libraries'. None where other code has a part in it.
    """
    asked = run.model_dump_json(include={"model", "method", "objective"})
    ours = (type(METHODS.make(run.method)), type(OBJECTIVES.make(run.objective)))
    if (
        run.model.trust_remote_code
        or ".py" in asked
        or not all(one.__module__.startswith("tunesmith.") for one in ours)
    ):
        return None
    files = [*folder.iterdir(), *Path(tunesmith.__file__).parent.rglob("*.py")]
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(files)]
    libraries = {name: version(name) for name in ("torch", "transformers", "peft")}
    facts = repr((asked, outputs, states, libraries))
    return cache_folder() / "shapes" / f"{sha256(facts.encode()).hexdigest()[:32]}.json"


def _read(note: Path) -> Shape | None:
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
        return Shape(**told | {"kept": tuple(told["kept"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(note: Path, found: Shape) -> None:
    """Keeps a count; a cache that cannot be written costs only the time to count again."""
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        old = sorted(note.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in old[: max(len(old) + 1 - KEPT, 0)]:
            path.unlink(missing_ok=True)
        write_whole(note, json.dumps(asdict(found)))
