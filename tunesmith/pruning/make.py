"""A model made lighter, written as a folder that training and transformers load, and published with
what was measured of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.export.card import public_name
from tunesmith.export.folders.files import (
    check_space,
    copy_beside,
    draft,
    refuse_full,
    weights_in,
)
from tunesmith.export.folders.whole import save_model
from tunesmith.export.held_memory import held, since
from tunesmith.export.held_out import EXPORTED, TRAINED, HeldOut
from tunesmith.export.merge import refuse_different
from tunesmith.export.page import write_page
from tunesmith.export.parity import (
    POSITIONS,
    Behaviour,
    behaviour,
    compare,
    probe_ids,
    probes,
)
from tunesmith.export.send import Sent, reached, send
from tunesmith.plain import JsonObject
from tunesmith.pruning.card import write_card
from tunesmith.pruning.costs import size_of, times_of
from tunesmith.pruning.page import PrunedPage
from tunesmith.pruning.pruners import PRUNERS, Pruner
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.prune import Prune
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.batches.batch import Tokens
    from tunesmith.data.prepare import Prepared
    from tunesmith.models.loading.load import Loaded

Progress = Callable[[str, int, int], None]
STAGES = ("rows", "before", "prune", "save", "after")
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Pruned:
    """Where the lighter model is, and how it compares with the one before."""

    out: Path
    page: PrunedPage
    wanted: str | None = None
    """What ``prune.require`` asks for."""
    sent: Sent | None = None
    """What went to a hub, or would go; None where no hub is named."""

    @property
    def met(self) -> bool:
        """Whether the verdict is the one required."""
        return self.page.meets(self.wanted)

    def required(self) -> dict[str, str]:
        """Returns the words for a verdict that is not the one required."""
        verdict = say(f"export.verdict_{self.page.verdict.replace(' ', '_')}")
        return {"verdict": verdict, "required": str(self.wanted)}

    def to_json(self) -> JsonObject:
        """Returns everything as plain values."""
        sent = self.sent.to_json() if self.sent else None
        return {"out": str(self.out), **self.page.to_json(), "sent": sent}

    def lines(self) -> list[str]:
        """Returns lines for a person to read."""
        lines = [say("prune.written", out=self.out, dtype=self.page.dtype), *self.page.gone]
        lines += [*self.page.short(), say("prune.use", out=self.out)]
        return lines + (self.sent.lines() if self.sent else [])


def prune(run: Run, out: Path, *, progress: Progress | None = None) -> Pruned:
    """Prunes the model of ``run`` as its ``prune`` says, on its training rows, and writes it to
    ``out`` with ``parity.json`` and ``parity.md``: what the model does on its held-out rows before
    and after, and what both cost.

    SpecError for what the model or the way cannot do, before weights are loaded; DiskError when it
    does not fit; ExportError when what was written does not behave as what was pruned. Nothing is
    left at ``out`` then. HubError as an export raises it.
    """
    asked = run.prune or Prune()
    base, pruner, share = look(run, out)
    kind, _ = weights_in(base)
    hub = reached(asked.hub, "prune.hub")

    def tell(stage: str) -> None:
        if progress:
            progress(say(f"prune.stage_{stage}"), STAGES.index(stage), len(STAGES))

    tell("rows")
    model, memory = _measured(run, base)
    prepared = _prepared(run, model)
    tell("before")
    asking = _Asking(run, prepared, model, asked.items)
    before = asking.ask(TRAINED, model)
    size = size_of(model, _files(base), asking.prompts[0])
    tell("prune")
    rows = _rows(pruner, prepared)
    gone = tuple(pruner.prune(model, rows, share))
    # Of the model in memory: what is read from the disk later must give the same.
    wanted = asking.logits(model)
    with draft(out) as draft_folder:
        tell("save")
        save_model(model.model, draft_folder, kind)
        copy_beside(base, draft_folder)
        model.model = None  # two models at once would need twice the memory
        tell("after")
        lighter, left = _measured(run, draft_folder)
        after = asking.ask(EXPORTED, lighter)
        refuse_different(compare(Behaviour(wanted, after.answers), after, kind), out)
        page = PrunedPage(
            format=pruner.name,
            dtype=kind,
            library=f"transformers {version('transformers')}",
            probes=compare(before, after, kind),
            task=asking.rows.judged(),
            task_missing=asking.rows.missing,
            asked=asked_of(run),
            gone=gone,
            size_before=size,
            size_after=size_of(lighter, _files(draft_folder), asking.prompts[0]),
            times=times_of(_loaded(run, base), lighter, asking.prompts),
            memory_before=memory,
            memory=left,
        )
        write_page(page, draft_folder)
        write_card(run, page, draft_folder, hub, out.resolve().name)
    done = Pruned(out, page, asked.require)
    return replace(done, sent=send(hub, out, met=done.met, public=asked.public)) if hub else done


def look(run: Run, out: Path) -> tuple[Path, Pruner, float]:
    """Returns the model's folder, the way and the share that goes; raises what ``prune`` would
    before weights are loaded.
    """
    from tunesmith.models.finding.hub import folder_of

    asked = run.prune or Prune()
    pruner: Pruner = PRUNERS.make(asked.how)
    share = pruner.share if asked.share is None else asked.share
    refuse_full(out)
    _refuse_settings(run)
    base = folder_of(run.model)
    _refuse_model(run, base, pruner, share)
    kind, count = weights_in(base)
    check_space(out, count * BYTES[kind])
    return base, pruner, share


def asked_of(run: Run) -> JsonObject:
    """Returns the model that is pruned, without the folders that it lies in, and how."""
    asked = (run.prune or Prune()).model_dump(mode="json", exclude={"hub", "public"})
    return {"model": public_name(run.model.path), **asked}


def asked_then(out: Path) -> JsonObject:
    """Returns what ``asked_of`` was of the lighter model in ``out``."""
    facts = json.loads((out / "parity.json").read_text(encoding="utf-8"))
    return facts["asked"]


def _refuse_settings(run: Run) -> None:
    """Raises SpecError for what is learned by a head of its own, and for weights that are no plain
    ones.
    """
    problems = []
    if not OBJECTIVES.make(run.objective).output.writes:
        text = say("prune.writes_only", objective=run.objective.name)
        problems.append(Problem("objective", text))
    changed = {"quantize": run.model.quantize, "add_tokens": run.model.add_tokens}
    problems += [
        Problem(f"model.{name}", say("prune.plain_only"))
        for name, value in changed.items()
        if value
    ]
    if problems:
        raise SpecError(problems)


def _refuse_model(run: Run, base: Path, pruner: Pruner, share: float) -> None:
    """Raises SpecError with what keeps the model from this way, known from its configuration."""
    import torch

    from tunesmith.models.structure.kinds import kind_of, language_class, load_config

    config = load_config(base, trust_remote_code=run.model.trust_remote_code)
    if kind_of(config) != "decoder":
        raise SpecError(Problem("model", say("prune.decoders_only", kind=config.model_type)))
    with torch.device("meta"):
        shell = language_class(config).from_config(config)
    problems = pruner.refused(shell, share)
    if problems:
        raise SpecError(problems)


def _loaded(run: Run, folder: Path) -> Loaded:
    import torch

    from tunesmith.models.loading.load import load_model

    code = run.model.trust_remote_code
    return load_model(folder, dtype=torch.float32, device="cpu", trust_remote_code=code)


def _measured(run: Run, folder: Path) -> tuple[Loaded, int | None]:
    """Loads a model and measures the memory that it holds."""
    free = held()
    loaded = _loaded(run, folder)
    return loaded, since(free)


def _prepared(run: Run, model: Loaded) -> Prepared:
    """Prepares the rows: split as they were where a run trained on them, else anew."""
    from tunesmith.data.prepare_once import prepare_once
    from tunesmith.proving.contest import prepared_again

    folder = RunFolder(Path(run.out))
    if folder.ledger.is_file():
        return prepared_again(folder, run, model.tokenizer, Events())
    return prepare_once(run, model.tokenizer, limit=model.limit)


def _rows(pruner: Pruner, prepared: Prepared) -> list[Tokens]:
    """Returns the training rows that the way looks at."""
    from tunesmith.export.rounding.calibration import spread

    if not pruner.tokens:
        return []
    rows = spread(prepared, pruner.tokens)
    if not rows:
        raise DataError(Problem("data", say("prune.no_rows")))
    return rows


def _files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


class _Asking:
    """What both models are asked: the probe prompts and the held-out rows."""

    def __init__(self, run: Run, prepared: Prepared, model: Loaded, items: int) -> None:
        self.render = prepared.render
        none = HeldOut(run, {}, missing=say("export.no_items"))
        self.rows = HeldOut(run, {}).of(prepared, items) if items else none
        asked = probes(RunFolder(Path(run.out)), run)
        self.prompts = probe_ids(asked, self.render, model.limit)

    def logits(self, model: Loaded) -> tuple[np.ndarray, ...]:
        """Computes the logits after the probe prompts."""
        from tunesmith.predicting.engine import TorchEngine

        return tuple(TorchEngine(model).logits(self.prompts, POSITIONS))

    def behave(self, model: Loaded) -> Behaviour:
        """Asks the probe prompts."""
        from tunesmith.predicting.engine import TorchEngine

        return behaviour(TorchEngine(model), self.prompts, self.render.stop_ids, "language")

    def ask(self, name: str, model: Loaded) -> Behaviour:
        """Asks the held-out rows and the probe prompts."""
        from tunesmith.predicting.engine import TorchEngine

        self.rows.answer(name, TorchEngine(model))
        return self.behave(model)
