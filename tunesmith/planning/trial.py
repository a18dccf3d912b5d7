"""Measures the largest micro-batch on the loaded model."""

from __future__ import annotations

from typing import Any

from tunesmith.settings.family import METHODS
from tunesmith.settings.run import Run


def measure(
    loaded: Any, run: Run, prepared: Any, device: Any, *, micro_tokens: int
) -> dict[str, float]:
    """Runs the largest micro-batch forwards and backwards with the method applied: tokens, peak
    (GiB) and seconds.
    """
    import time

    from tunesmith.batches.batch import Batch
    from tunesmith.batches.cuts import cut
    from tunesmith.models.roles import teacher, teacher_folder
    from tunesmith.training.reference import blank

    model = METHODS.make(run.method).apply(loaded.model)
    model.train()
    objective = prepared.objective
    items = blank(objective, prepared.train)
    longest = sorted((item.tokens for item in items), key=lambda tokens: -max(map(len, tokens)))[
        : run.train.batch
    ]
    groups = cut(longest, micro_tokens, padded=loaded.layout == "padded")
    folder = teacher_folder(run, loaded.tokenizer)
    roles = (
        {"teacher": teacher(folder, run, dtype=model.dtype, device=device.place)} if folder else {}
    )
    batches = [
        Batch.grow([longest[index] for index in group], unit=objective.unit) for group in groups
    ]
    batch = loaded.lay(max(batches, key=lambda one: len(one.ids_T)))
    began = time.perf_counter()
    with device.autocast():
        objective.prepare({"policy": model, **roles}, [batch], device.processes)
        loss = objective.loss({"policy": model, **roles}, batch)
    (loss.total / max(batch.units, 1.0)).backward()
    seconds = time.perf_counter() - began
    return {
        "tokens": len(batch.ids_T),
        "peak_gib": device.peak_memory() or float("nan"),
        "seconds": round(seconds, 2),
    }
