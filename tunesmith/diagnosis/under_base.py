"""``tunesmith check --base``: what the untuned base makes of the rows: answers that it already
gives word for word teach nothing, and rows that are much harder than all others are often broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.split import draw_rows
from tunesmith.errors import Problem, SpecError
from tunesmith.plain import JsonObject
from tunesmith.settings.run import Run
from tunesmith.words import say, some

if TYPE_CHECKING:
    from tunesmith.data.prepare import Prepared
    from tunesmith.display.progress import Shown
    from tunesmith.models.calling.views import Seen
    from tunesmith.models.loading.load import Loaded

MOST = 1000
"""Rows that are looked at, drawn from all; a row costs one forward."""
SHORT, FEW = 8, 40
"""Answers with fewer tokens say too little about how hard they are; so do fewer such answers about
what is usual.
"""
FENCE = 3.0
"""A row lies far out where its loss is above the upper quartile by so many interquartile ranges
(Tukey 1977, "Exploratory Data Analysis", outer fence).
"""


@dataclass(frozen=True)
class UnderBase:
    """The rows that the base was asked, and what stood out: by id, the hardest first."""

    rows: int
    of: int
    """How many rows there are."""
    known: tuple[str, ...]
    """Rows whose answer the base gives word for word when it is asked."""
    hard: tuple[tuple[str, float], ...]
    """Rows far harder than the others, with their loss (nats a token)."""
    usual: float
    """The median loss (nats a token) of the answers that are long enough to be compared; NaN where
    these are too few.
    """

    def to_json(self) -> JsonObject:
        """Returns the same for programs."""
        return {
            "rows": self.rows,
            "of": self.of,
            "known": list(self.known),
            "hard": [{"row": row, "loss": loss} for row, loss in self.hard],
            "usual_loss": self.usual if self.usual == self.usual else None,
        }

    def lines(self) -> list[str]:
        """Returns lines for a person to read."""
        asked = {"rows": self.rows, "of": self.of}
        lines = [say("check.base_asked", **asked)]
        if self.known:
            fields = {"number": len(self.known), "rows": self.rows, "places": some(self.known)}
            lines.append(say("check.base_known", **fields, named=_named(self.known)))
        if self.hard:
            places = some([f"{row} ({loss:.1f})" for row, loss in self.hard])
            fields = {"number": len(self.hard), "usual": f"{self.usual:.1f}", "places": places}
            named = _named([row for row, _ in self.hard])
            lines.append(say("check.base_hard", **fields, named=named))
        if self.usual != self.usual:
            lines.append(say("check.base_few", least=SHORT, few=FEW))
        return lines if len(lines) > 1 else [*lines, say("check.base_nothing")]


def _named(rows: Sequence[str]) -> str:
    """Lists all rows as ``leave_out`` takes them; of windows the row."""
    return ",".join(dict.fromkeys(row.partition("/")[0] for row in rows))


def under_base(run: Run, prepared: Prepared, *, progress: Shown | None = None) -> UnderBase:
    """Loads the model of a run and asks it the training rows; SpecError for an objective that does
    not learn to write answers.
    """
    from tunesmith.machine.device import choose
    from tunesmith.models.finding.hub import folder_of
    from tunesmith.training.preparing import load_base

    objective = prepared.objective
    if not objective.output.writes or objective.output.compares:
        raise SpecError(Problem("objective", say("check.base_not_for", name=objective.name)))
    items = prepared.train
    chosen = [items[index] for index in draw_rows([""] * len(items), MOST)]
    loaded = load_base(folder_of(run.model), run, choose(run.train.machine), objective)
    show = None
    if progress is not None:
        show = lambda done, total: progress(say("check.phase_base"), done, total)  # noqa: E731
    seen = losses(loaded, [item.tokens for item in chosen], progress=show)
    names = [item.id for item in chosen]
    return judged(names, seen, of=len(items), writes=not objective.output.continues)


def losses(
    loaded: Loaded, examples: Sequence[Sequence[Tokens]], *, progress: object = None
) -> list[np.ndarray]:
    """Computes for each example [scored tokens, 2]: the loss of each token (nats), and whether it
    is the one that the model finds likeliest.
    """
    import torch

    from tunesmith.models.calling.forwards import forwards

    def look(seen: Seen) -> list[np.ndarray]:
        batch = seen.batch
        found_N2 = torch.zeros(len(batch.targets_N), 2)

        def note(logits_nV: torch.Tensor, _: torch.Tensor | None, chunk: slice) -> torch.Tensor:
            targets_n = batch.targets_N[chunk]
            logprobs_n = logits_nV.log_softmax(-1).gather(1, targets_n[:, None])[:, 0]
            first_n = logits_nV.argmax(-1) == targets_n
            found_N2[chunk] = torch.stack([-logprobs_n, first_n.float()], dim=1).cpu()
            return logits_nV.new_zeros(())

        seen.over_logits(note)
        example_N = batch.example_B[batch.owner_N].cpu().numpy()
        values = found_N2.numpy()
        return [values[example_N == index] for index in range(len(batch.sequences))]

    return forwards(loaded, examples, look, progress=progress)  # type: ignore[arg-type]


def judged(
    names: Sequence[str], seen: Sequence[np.ndarray], *, of: int, writes: bool = True
) -> UnderBase:
    """Says what stands out among rows with the losses ``seen``, each [tokens, 2]."""
    given_already = tuple(
        name for name, row in zip(names, seen, strict=True) if writes and row[:, 1].all()
    )
    long = [
        (name, float(row[:, 0].mean()))
        for name, row in zip(names, seen, strict=True)
        if len(row) >= SHORT
    ]
    if len(long) < FEW:
        return UnderBase(len(names), of, given_already, (), float("nan"))
    low, middle, high = np.quantile([loss for _, loss in long], [0.25, 0.5, 0.75])
    fence = high + FENCE * (high - low)
    hard = sorted(((name, loss) for name, loss in long if loss > fence), key=lambda pair: -pair[1])
    return UnderBase(len(names), of, given_already, tuple(hard), float(middle))
