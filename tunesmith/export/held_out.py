"""Held-out rows of the run, asked of the trained and of the exported model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tunesmith.errors import TunesmithError, first_line
from tunesmith.events.stream import Events
from tunesmith.export.folders.source import Source
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.judge import judge
from tunesmith.proving.parity_rows import lines_of, together
from tunesmith.proving.task import evenly
from tunesmith.settings.run import Generate, Run
from tunesmith.words import say

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.batches.batch import Tokens
    from tunesmith.data.prepare import Item, Prepared
    from tunesmith.models.calling.generate import Answer
    from tunesmith.models.loading.load import Loaded
    from tunesmith.predicting.engine import Engine
    from tunesmith.proving.contest import Outcome

TRAINED, EXPORTED = "trained", "exported"
PIECE = 16
"""Prompts that are answered between two words on how far it is."""


@dataclass
class HeldOut:
    """The rows that are asked; ``missing`` says why there are none, or no metric for them."""

    run: Run
    fitted: Named
    """What tunesmith.json keeps of what was fitted to held-out rows."""
    prepared: Prepared | None = None
    items: list[Item] = field(default_factory=list)
    missing: str = ""
    why: str = ""
    """What keeps the rows from being asked. It may name files of this machine, and ``missing``,
    which is published with the page, does not.
    """
    found: dict[str, Outcome] = field(default_factory=dict)
    tell: Callable[[int, int], None] = lambda done, total: None
    """Hears how many of the rows are answered."""

    def of(self, prepared: Prepared, count: int) -> HeldOut:
        """Returns the same with at most ``count`` rows of ``prepared``."""
        if not prepared.proof:
            return replace(self, missing=say("export.none_held_out"))
        return replace(self, prepared=prepared, items=evenly(prepared.proof, count))

    def answer(self, name: str, engine: Engine) -> None:
        """Asks an engine all rows."""
        if self.prepared is None:
            return
        self.tell(0, len(self.items))
        output = self.prepared.objective.output
        asked = (self.run, self.prepared, self.items)
        outcome = output.measure(*asked, {name: _InPieces(engine, self.tell)}, self.fitted)
        if outcome is None:
            self.missing = say("export.no_metric", objective=self.run.objective.name)
        else:
            self.found[name] = outcome

    def judged(self) -> JsonObject | None:
        """Compares the exported with the trained model by the run's metrics; None where nothing was
        asked.
        """
        if len(self.found) < 2:
            return None
        first, second = self.found[TRAINED], self.found[EXPORTED]
        lines = together([lines_of(first), lines_of(second)])
        decides = (TRAINED, first.primary)
        seed = self.run.train.seed
        judgement = judge(lines, first.metrics, seed=seed, decides=decides, judged=EXPORTED)
        return {
            "items": len(lines),
            "primary": first.primary,
            "metrics": first.metrics,
            **judgement,
            "same_answers": sum(map(_same, lines)),
            "stopped": {
                name: sum(line["stopped"][name] for line in lines) / len(lines)
                for name in lines[0]["stopped"]
            },
        }


@dataclass(frozen=True)
class _InPieces:
    """An engine that tells how many answers it has written, which takes longest by far."""

    engine: Engine
    tell: Callable[[int, int], None]

    @property
    def name(self) -> str:
        """The library and its version."""
        return self.engine.name

    def write(
        self, prompts: Sequence[np.ndarray], settings: Generate, stop_ids: Sequence[int]
    ) -> list[Answer]:
        """Writes an answer to each prompt, some prompts at a time."""
        answers: list[Answer] = []
        for start in range(0, len(prompts), PIECE):
            answers += self.engine.write(prompts[start : start + PIECE], settings, stop_ids)
            self.tell(len(answers), len(prompts))
        return answers

    def logits(self, prompts: Sequence[np.ndarray], last: int) -> list[np.ndarray]:
        """Computes what the engine computes."""
        return self.engine.logits(prompts, last)

    def likelihoods(self, examples: Sequence[Sequence[Tokens]]) -> list[np.ndarray]:
        """Computes what the engine computes."""
        return self.engine.likelihoods(examples)

    def outputs(self, sequences: Sequence[Tokens]) -> np.ndarray:
        """Computes what the engine computes."""
        return self.engine.outputs(sequences)


def _same(line: JsonObject) -> bool:
    fields = [line[key] for key in ("predictions", "choices") if line[key]]
    return all(values[TRAINED] == values[EXPORTED] for values in fields)


def held_out(
    source: Source, trained: Loaded, count: int, tell: Callable[[int, int], None]
) -> HeldOut:
    """Prepares the run's held-out rows again, at most ``count`` of them; ``tell`` hears how many
    are answered while they are asked.
    """
    from tunesmith.proving.contest import prepared_again

    asked_items = HeldOut(source.run, source.told.get("fitted", {}), tell=tell)
    if not count:
        return replace(asked_items, missing=say("export.no_items"))
    try:
        prepared = prepared_again(source.folder, source.run, trained.tokenizer, Events())
    except TunesmithError as error:
        why = say("export.why_no_rows", reason=first_line(error))
        return replace(asked_items, missing=say("export.no_rows"), why=why)
    return asked_items.of(prepared, count)
