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
    from tunesmith.batches.micro_batches import cut
    from tunesmith.models.roles import roles_of
    from tunesmith.training.reference import blank

    beside = roles_of(prepared.objective.roles, run)
    for role in beside:
        role.load(loaded.model.dtype, device.place)
    method = METHODS.make(run.method)
    model = loaded.model = method.apply(loaded.model)
    looked = {role.name: role.model(loaded, method) for role in beside if not role.only_watched}
    models = {"policy": model, **looked}
    model.train()
    objective = prepared.objective
    items = blank(objective, prepared.train)
    longest = sorted((item.tokens for item in items), key=lambda tokens: -max(map(len, tokens)))[
        : run.train.batch
    ]
    groups = cut(longest, micro_tokens, padded=loaded.layout == "padded")
    batches = [
        Batch.grow([longest[index] for index in group], unit=objective.unit) for group in groups
    ]
    batch = loaded.lay(max(batches, key=lambda one: len(one.ids_T)))
    began = time.perf_counter()
    with device.autocast():
        objective.prepare(models, [batch], device.processes)
        loss = objective.loss(models, batch)
    (loss.total / max(batch.units, 1.0)).backward()
    seconds = time.perf_counter() - began
    return {
        "tokens": len(batch.ids_T),
        "peak_gib": device.peak_memory() or float("nan"),
        "seconds": round(seconds, 2),
    }
