"""An adapter folded into its base, and seen to behave as before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.errors import ExportError, Problem
from tunesmith.export.folders.source import Source
from tunesmith.export.parity import Behaviour, Parity, distance
from tunesmith.words import say

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from transformers import PreTrainedModel

TOLERANCE = {"fp32": 1e-3, "fp16": 0.05, "bf16": 0.1}
"""Largest logit difference, as a share of the logits' range, that rounding to the type explains."""
UNCHANGED = 1e-6
"""A change of the logits below this, as a share of their size, is none."""


def merged(model: PreTrainedModel, source: Source) -> Any:
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
        options = asked.values("trust_remote_code", "quantize", "add_tokens")
        base = load_model(
            source.base, dtype=torch.float32, device="cpu", **options, **head_in(source.told)
        ).model
        model = attach(make_plain(base), source.place)
    return beside_base.merge(model)


def refuse_different(parity: Parity, out: Path) -> None:
    """Raises ExportError where the logits differ by more than the type's rounding explains."""
    if parity.relative <= TOLERANCE[parity.dtype]:
        return
    text = say(
        "export.differs" if parity.dtype == "fp32" else "export.differs_rounded",
        dtype=parity.dtype,
        compared=parity.told(),
        allowed=f"{TOLERANCE[parity.dtype] * 100:g}",
    )
    raise ExportError(Problem(str(out), text))


def unchanged(base: list[np.ndarray], reference: Behaviour) -> tuple[str, ...]:
    """Returns a warning that nothing was learned."""
    if base[0].shape != reference.logits[0].shape:
        return ()
    size = distance(base, [part * 0 for part in base])
    if distance(base, reference.logits) <= UNCHANGED * size:
        return (say("export.unchanged"),)
    return ()


def rounded_away(
    base: list[np.ndarray], reference: Behaviour, seen: Behaviour, kind: str
) -> tuple[str, ...]:
    """Returns a warning that rounding lost most of what was learned."""
    if base[0].shape != reference.logits[0].shape:
        return ()
    learned, lost = distance(base, reference.logits), distance(seen.logits, reference.logits)
    if not learned or lost <= learned / 2:
        return ()
    share = f"{min(lost / learned, 1) * 100:.0f}"
    return (say("export.rounded_away", dtype=kind, share=share),)
