"""A tuned model as an ordinary Hugging Face folder, published only after it was seen to behave as
the trained one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ExportError, ModelError, Problem, SpecError
from tunesmith.export.files import (
    check_space,
    copy_beside,
    copy_model,
    draft,
    refuse_full,
    weights_in,
)
from tunesmith.export.parity import (
    Behaviour,
    Parity,
    behaviour,
    compare,
    distance,
    logits,
    probe_ids,
    probe_texts,
)
from tunesmith.plain import JsonObject
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Progress = Callable[[str, int, int], None]

TOLERANCE = {"fp32": 1e-3, "fp16": 0.05, "bf16": 0.1}
"""Largest logit difference, as a share of the logits' range, that rounding to the type explains."""
STAGES = ("load", "merge", "save", "verify")
VECTORS = "SentenceTransformer"
UNCHANGED = 1e-6
"""A change of the logits below this, as a share of their size, is none."""


@dataclass(frozen=True)
class Exported:
    """Where the model is and how it compares with the trained one."""

    out: Path
    dtype: str
    merged: Parity
    """In fp32, before saving."""
    saved: Parity
    """Loaded again from ``out``, in the type it is saved in."""
    warnings: tuple[str, ...] = ()
    code: bool = False
    """Whether the model comes with Python code of its own."""
    kind: str = "AutoModelForCausalLM"
    """The class that loads it: transformers', or sentence-transformers' where it gives vectors."""
    load: tuple[str, ...] = field(init=False)
    """The lines of Python that load it."""

    def __post_init__(self) -> None:
        more = ", trust_remote_code=True" if self.code else ""
        place = json.dumps(str(self.out), ensure_ascii=False)
        lines: tuple[str, ...] = (
            f"from transformers import {self.kind}, AutoTokenizer",
            f"model = {self.kind}.from_pretrained({place}{more})",
            f"tokenizer = AutoTokenizer.from_pretrained({place}{more})",
        )
        if self.kind == VECTORS:
            lines = (
                f"from sentence_transformers import {VECTORS}",
                f"model = {VECTORS}({place}{more})",
            )
        object.__setattr__(self, "load", lines)

    def to_json(self) -> dict[str, object]:
        """Returns everything as plain values."""
        parity = {"merged": self.merged.to_json(), "saved": self.saved.to_json()}
        return {
            "out": str(self.out),
            "dtype": self.dtype,
            **parity,
            "warnings": list(self.warnings),
            "load": list(self.load),
        }

    def lines(self) -> list[str]:
        """Returns lines for a person to read."""
        told = [say("export.written", out=self.out, dtype=self.dtype)]
        for name, parity in (("merged", self.merged), ("saved", self.saved)):
            told.append(say(f"export.parity_{name}", dtype=parity.dtype, compared=parity.told()))
        return [*told, *self.warnings, say("export.load"), *(f"  {line}" for line in self.load)]


@dataclass(frozen=True)
class _Source:
    """What is exported: the run's model folder, its base, and what is known of both."""

    run: Run
    place: Path
    base: Path
    told: JsonObject

    @property
    def adapter(self) -> bool:
        return (self.place / "adapter_config.json").is_file()

    @property
    def loader(self) -> Any:
        """transformers' class for the base, and so for what is exported."""
        from tunesmith.models.structure.kinds import class_of, load_config

        config = load_config(self.base, trust_remote_code=self.run.model.trust_remote_code)
        return class_of(config, OBJECTIVES.make(self.run.objective).head)


def export(
    folder: RunFolder,
    out: Path,
    *,
    dtype: str | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Writes the run's model to ``out`` with tokenizer, chat template and generation settings.

    ``dtype`` is fp32, bf16 or fp16; by default that of the base's weights. The adapter is merged in
    fp32 into a freshly loaded base. SpecError when ``out`` is not empty, DiskError when it does not
    fit, ExportError when the result does not behave as the trained model; then nothing is left at
    ``out``.
    """
    if dtype is not None and dtype not in TOLERANCE:
        raise SpecError(
            Problem("dtype", say("export.unknown_dtype", dtype=dtype, known=", ".join(TOLERANCE)))
        )
    refuse_full(out)
    source = _source(folder)
    stored, weights = weights_in(source.base if source.adapter else source.place)
    kind = dtype or stored
    check_space(out, weights, kind)

    def tell(stage: str) -> None:
        if progress:
            progress(say(f"export.stage_{stage}"), STAGES.index(stage), len(STAGES))

    tell("load")
    loaded, base_logits, prompts, reference = _trained(folder, source)
    tell("merge")
    if source.adapter:
        loaded.model = _merge(loaded.model, source)
    merged = compare(reference, _behave(loaded, prompts, source), "fp32")
    _refuse_different(merged, out)
    with draft(out) as place:
        tell("save")
        _save(loaded.model, source, place, kind, as_stored=not source.adapter and kind == stored)
        del loaded
        tell("verify")
        seen = _load_again(place, source, prompts)
        saved = compare(reference, seen, kind)
        _refuse_different(saved, out)
    warnings = _warnings(base_logits, reference, seen, kind)
    if source.run.model.quantize and source.adapter:
        warnings = (say("export.dequantised", kind=source.run.model.quantize), *warnings)
    loader = VECTORS if merged.kind == "embedding" else source.loader.__name__
    return Exported(
        out, kind, merged, saved, warnings, code=source.run.model.trust_remote_code, kind=loader
    )


def _source(folder: RunFolder) -> _Source:
    from tunesmith.models.adapters import beside_base, prompt_in_encoder
    from tunesmith.models.finding.hub import folder_of

    run = folder.resolved().run
    place = folder.model
    facts = place / "tunesmith.json"
    if not facts.is_file():
        raise ModelError(Problem(str(place), say("export.no_model", run=folder.path)))
    base = folder_of(run.model)
    if not (base / "config.json").is_file():
        raise SpecError(Problem(str(base), say("export.base_is_adapter")))
    source = _Source(run, place, base, json.loads(facts.read_text(encoding="utf-8")))
    if source.adapter and not METHODS.make(run.method).merges:
        key = (
            "export.slots_do_not_merge"
            if METHODS.make(run.method).slots
            else "export.does_not_merge"
        )
        told = say(key, method=run.method.name, place=str(place))
        if beside_base.is_own(place) or prompt_in_encoder.is_there(place):
            labels = len((source.told.get("outputs") or {}).get("names", ()))
            how = {
                "loader": source.loader.__name__,
                "labels": labels,
                "quantize": run.model.quantize,
            }
            serving = beside_base.serving(base, place, **how)
            lines = "\n".join(f"  {line}" for line in serving)
            told = say("own.does_not_merge", method=run.method.name, lines=lines)
        raise SpecError(Problem("method", told))
    return source


def _trained(
    folder: RunFolder, source: _Source
) -> tuple[Any, tuple[Any, ...], list[Any], Behaviour]:
    """Returns the trained model in fp32 on the CPU, the base's logits, the probes, and the trained
    model's behaviour on them.
    """
    import torch

    from tunesmith.models.adapters.attach import attach
    from tunesmith.models.loading.load import load_model
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.models.saved import renderer
    from tunesmith.models.structure.heads import head_in

    how = {
        "dtype": torch.float32,
        "device": "cpu",
        "trust_remote_code": source.run.model.trust_remote_code,
    }
    how |= head_in(source.told)
    tokenizer = load_tokenizer(source.place, trust_remote_code=source.run.model.trust_remote_code)
    more = {"quantize": source.run.model.quantize, "add_tokens": source.run.model.add_tokens}
    loaded = load_model(source.base, **how, **more)
    render = renderer(source.place, tokenizer, source.run)
    prompts = probe_ids(probe_texts(folder, source.run), render, loaded.limit)
    base_logits = logits(loaded.model, prompts)
    if source.adapter:
        loaded.model = attach(loaded.model, source.place)
    else:
        loaded = load_model(source.place, **how)
    loaded.tokenizer = tokenizer
    return loaded, base_logits, prompts, _behave(loaded, prompts, source)


def _merge(model: PreTrainedModel, source: _Source) -> Any:
    """Folds the adapter into its base; where that is quantised, into the rounded weights that it
    was trained beside.

    Folding into packed weights would round the change away, and the unrounded ones are another
    model.
    """
    import torch

    from tunesmith.models.adapters import beside_base
    from tunesmith.models.adapters.attach import attach
    from tunesmith.models.loading.load import load_model
    from tunesmith.models.structure.heads import head_in
    from tunesmith.models.structure.quantize import make_plain

    asked = source.run.model
    if asked.quantize:
        how = asked.values("trust_remote_code", "quantize", "add_tokens")
        base = load_model(
            source.base, dtype=torch.float32, device="cpu", **how, **head_in(source.told)
        ).model
        model = attach(make_plain(base), source.place)
    return beside_base.merge(model)


def _behave(loaded: Any, prompts: list[Any], source: _Source) -> Behaviour:
    return behaviour(loaded.model, loaded.tokenizer, prompts, source.told["stop_ids"])


def _save(
    model: torch.nn.Module, source: _Source, place: Path, kind: str, *, as_stored: bool
) -> None:
    """Saves the weights in ``kind`` and all files beside them; a whole model that keeps its type is
    copied bit by bit.
    """
    import torch

    from tunesmith.models.structure.whole import write_model

    if as_stored:
        copy_model(source.place, place)
    else:
        model.to({"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[kind])
        write_model(model, place)
    copy_beside(source.place, place)


def _load_again(place: Path, source: _Source, prompts: list[Any]) -> Behaviour:
    """Returns the behaviour of the saved model when it is loaded the usual way."""
    from transformers import AutoTokenizer

    from tunesmith.models.structure.heads import quiet

    code = source.run.model.trust_remote_code
    with quiet():  # a pooler that vectors do without is no news
        model = source.loader.from_pretrained(place, trust_remote_code=code).eval()
    tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=code)
    return behaviour(model, tokenizer, prompts, source.told["stop_ids"])


def _refuse_different(parity: Parity, out: Path) -> None:
    if parity.relative <= TOLERANCE[parity.dtype]:
        return
    text = say(
        "export.differs" if parity.dtype == "fp32" else "export.differs_rounded",
        dtype=parity.dtype,
        compared=parity.told(),
        allowed=f"{TOLERANCE[parity.dtype] * 100:g}",
    )
    raise ExportError(Problem(str(out), text))


def _warnings(
    base: tuple[Any, ...], reference: Behaviour, seen: Behaviour, kind: str
) -> tuple[str, ...]:
    """Returns a warning that nothing was learned, or that rounding lost most of it."""
    if base[0].shape != reference.logits[0].shape:
        return ()
    learned = distance(base, reference.logits)
    size = distance(base, [part * 0 for part in base])
    if learned <= UNCHANGED * size:
        return (say("export.unchanged"),)
    lost = distance(seen.logits, reference.logits)
    return (
        (say("export.rounded_away", dtype=kind, share=f"{min(lost / learned, 1) * 100:.0f}"),)
        if lost > learned / 2
        else ()
    )
