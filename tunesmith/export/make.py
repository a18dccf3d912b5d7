"""A run's model written in another format, and published only with what was measured of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, SpecError
from tunesmith.export.card import base_id, write_card
from tunesmith.export.folders.files import check_space, draft, refuse_full
from tunesmith.export.folders.source import (
    Source,
    check_memory,
    load_trained,
    merge_problems,
    put_on,
    source_of,
)
from tunesmith.export.formats import FORMATS, ExportFormat, Made, refused_head
from tunesmith.export.held_memory import held, since
from tunesmith.export.held_out import EXPORTED, TRAINED, HeldOut, held_out
from tunesmith.export.merge import merged, refuse_different, rounded_away, unchanged
from tunesmith.export.page import Page, Speed, write_page
from tunesmith.export.parity import (
    POSITIONS,
    Behaviour,
    Parity,
    behaviour,
    compare,
    probe_ids,
    probes,
)
from tunesmith.export.send import Sent, name_base, reached, send
from tunesmith.plain import JsonObject
from tunesmith.settings.export import Export
from tunesmith.settings.run import Generate
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.predicting.engine import Engine, TorchEngine

Progress = Callable[[str, int, int], None]

TIMED = 4
"""Probes that are answered one after the other to measure the speed."""
TIMED_TOKENS = 32


@dataclass(frozen=True)
class Exported:
    """Where the model is and how it compares with the trained one."""

    out: Path
    dtype: str
    page: Page
    merged: Parity | None
    """In fp32, before anything was written; None where nothing is folded."""
    load: tuple[str, ...]
    """The lines that load it or serve it."""
    warnings: tuple[str, ...] = ()
    wanted: str | None = None
    """What ``export.require`` asks for."""
    sent: Sent | None = None
    """What went to a hub, or would go; None where no hub is named."""

    @property
    def met(self) -> bool:
        """Whether the verdict is the one required."""
        return self.page.meets(self.wanted)

    def required(self) -> dict[str, str]:
        """Returns the words for a verdict that is not the one required."""
        verdict = self.page.verdict.replace(" ", "_")
        return {"verdict": say(f"export.verdict_{verdict}"), "required": str(self.wanted)}

    @property
    def saved(self) -> Parity | None:
        """Loaded again from ``out``, in the type it is saved in; None where nothing loads it
        here.
        """
        return self.page.probes

    def to_json(self) -> JsonObject:
        """Returns everything as plain values."""
        return {
            "out": str(self.out),
            "dtype": self.dtype,
            "merged": self.merged.to_json() if self.merged else None,
            "saved": self.saved.to_json() if self.saved else None,
            **self.page.to_json(),
            "warnings": list(self.warnings),
            "load": list(self.load),
            "sent": self.sent.to_json() if self.sent else None,
        }

    def lines(self) -> list[str]:
        """Returns lines for a person to read."""
        lines = [say("export.written", out=self.out, dtype=self.dtype)]
        for name, parity in (("merged", self.merged), ("saved", self.saved)):
            if parity is not None:
                compared = parity.told()
                lines.append(say(f"export.parity_{name}", dtype=parity.dtype, compared=compared))
        lines += self.page.short()
        lines += [*self.warnings, say("export.load"), *(f"  {line}" for line in self.load)]
        return lines + (self.sent.lines() if self.sent else [])


def export(
    folder: RunFolder,
    out: Path,
    settings: Export | None = None,
    *,
    progress: Progress | None = None,
) -> Exported:
    """Writes the run's model to ``out`` in the format of ``settings``, those of the run when not
    given, with ``parity.json``, ``parity.md`` and a model card beside it, and sends the folder to
    the hub that they name.

    An adapter is folded in fp32 into a freshly loaded base. SpecError when ``out`` is not empty or
    the format cannot hold the model, DiskError when it does not fit, ExportError when the result
    does not behave as the trained model; then nothing is left at ``out``. HubError before weights
    load where the hub refuses the token, and at the end where sending fails: ``out`` is whole then.
    """
    settings = settings or folder.resolved().run.export
    fmt: ExportFormat = FORMATS.make(settings.format)
    refuse_full(out)
    source = _allowed(fmt, folder, settings.hub)
    check_space(out, fmt.size(source))
    hub = reached(settings.hub)

    folds = fmt.folded(source)
    hears = progress or (lambda *_: None)
    tell = _teller(folds, hears)

    tell("load")
    seen = _Trained.of(source, lambda: tell("probe"))
    model_made = Made(source, seen.engine.loaded, [], hears)
    folded = None
    if folds:
        tell("merge")
        if source.adapter:
            model_made.trained.model = merged(model_made.trained.model, source)
        folded = compare(seen.behaviour, seen.ask(seen.engine), "fp32")
        refuse_different(folded, out)
    asked = partial(hears, say("export.stage_ask"))
    rows = held_out(source, model_made.trained, settings.items, asked)
    rows.answer(TRAINED, seen.engine)
    speed = _speed(seen.engine, seen)
    with draft(out) as draft_folder:
        tell("save")
        fmt.write(model_made, draft_folder)
        model_made.trained.model = None  # two models at once would need twice the memory
        tell("verify")
        page, warnings = _looked_at(fmt, model_made, seen, rows, draft_folder)
        if fmt.exact and page.probes is not None:
            refuse_different(page.probes, out)
        before = {"speed_before": speed, "memory_before": seen.memory}
        page = replace(page, size=_bytes(draft_folder), **before)
        write_page(page, draft_folder)
        write_card(fmt, source, page, draft_folder, hub)
        if hub and not folds:
            name_base(draft_folder, base_id(source))
    if source.run.model.quantize and source.adapter and folds:
        warnings = (say("export.dequantised", kind=source.run.model.quantize), *warnings)
    notes, load = (*model_made.notes, *warnings), tuple(fmt.use(source, out))
    done = Exported(out, fmt.dtype(source), page, folded, load, notes, settings.require)
    return replace(done, sent=send(hub, out, met=done.met, public=settings.public)) if hub else done


def _teller(folds: bool, progress: Progress) -> Callable[[str], None]:
    """Returns what tells the next part, with the number of the parts before it and of all."""
    parts = ["load", "probe", *(["merge"] if folds else []), "save", "verify"]

    def tell(part: str) -> None:
        progress(say(f"export.stage_{part}"), parts.index(part), len(parts))

    return tell


def _allowed(fmt: ExportFormat, folder: RunFolder, hub: str | None) -> Source:
    """Returns what is exported; raises SpecError with all that keeps it from the format."""
    source = source_of(folder)
    problems = refused_head(fmt, source)
    problems += merge_problems(source) if fmt.folded(source) else []
    problems = problems or fmt.refused(source)
    if hub and not fmt.folded(source) and base_id(source) is None:
        text = say("hub.local_base", base=source.run.model.path)
        problems.append(Problem("export.hub", text))
    if problems:
        raise SpecError(problems)
    check_memory(source)
    return source


def _looked_at(
    fmt: ExportFormat, made: Made, seen: _Trained, rows: HeldOut, place: Path
) -> tuple[Page, tuple[str, ...]]:
    """Runs what was written and measures it; returns the page and warnings."""
    kind = fmt.dtype(made.source)
    unrun = fmt.not_run(made.source)
    page = Page(fmt.name, kind, library=fmt.verified_by, install=fmt.install, not_run=unrun)
    same, unasked = unchanged(seen.base, seen.behaviour), (rows.why,) if rows.why else ()
    free, start = held(), time.perf_counter()
    engine = fmt.open(place, made)
    if engine is None:
        return page, (*same, *unasked)
    seconds = time.perf_counter() - start
    memory = _held(engine, seen.prompts, free)
    exported = seen.ask(engine)
    rows.answer(EXPORTED, engine)
    page = replace(
        page,
        library=engine.name,
        load_seconds=seconds,
        probes=compare(seen.behaviour, exported, kind),
        speed=_speed(engine, seen),
        memory=memory,
        task=rows.judged(),
        task_missing=rows.missing,
        faults=tuple(fmt.faults(engine, made, seen.prompts)),
    )
    return page, (*(same or rounded_away(seen.base, seen.behaviour, exported, kind)), *unasked)


@dataclass
class _Trained:
    """The trained model and what it does on the probes; ``base`` has the base's logits there."""

    source: Source
    engine: TorchEngine
    prompts: list[np.ndarray]
    base: list[np.ndarray]
    behaviour: Behaviour
    memory: int | None
    """Bytes that the trained model holds."""

    @classmethod
    def of(cls, source: Source, probing: Callable[[], None]) -> _Trained:
        """Loads the model, and asks it the probes; ``probing`` is called between the two."""
        from tunesmith.predicting.engine import TorchEngine

        _ = source.loader  # imported now, it does not count as the model's memory
        free = held()
        base, trained = load_trained(source)
        assert trained.render is not None, "a run's model comes with its renderer"
        probing()
        asked = probes(source.folder, source.run)
        prompts = probe_ids(asked, trained.render, trained.limit)
        before = TorchEngine(base).logits(prompts, POSITIONS)
        del base
        put_on(trained, source)
        engine = TorchEngine(trained)
        memory = _held(engine, prompts, free, sum(array.nbytes for array in before))
        behaviour_before = behaviour(engine, prompts, source.told["stop_ids"], source.head)
        return cls(source, engine, prompts, before, behaviour_before, memory)

    def ask(self, engine: Engine) -> Behaviour:
        return behaviour(engine, self.prompts, self.source.told["stop_ids"], self.source.head)


def _held(
    engine: Engine, prompts: list[np.ndarray], free: int | None, beside: int = 0
) -> int | None:
    """Measures what the engine's model holds since ``free``, without ``beside`` (bytes of what else
    is kept), once one prompt has touched all weights: what an engine maps is not there before.
    """
    engine.logits(prompts[:1], 1)
    grown = since(free)
    return None if grown is None else max(0, grown - beside)


def _speed(engine: Engine, seen: _Trained) -> Speed:
    """Measures tokens written in a second, or texts judged, one after the other."""
    some, start = seen.prompts[:TIMED], time.perf_counter()
    if seen.source.head != "language":
        for prompt in some:
            engine.logits([prompt], 1)
        return Speed("texts", len(some) / (time.perf_counter() - start))
    settings = Generate(max_new_tokens=TIMED_TOKENS)
    written = [engine.write([prompt], settings, ()) for prompt in some]
    tokens = sum(len(answer.ids) for answers in written for answer in answers)
    return Speed("tokens", tokens / (time.perf_counter() - start))


def _bytes(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
