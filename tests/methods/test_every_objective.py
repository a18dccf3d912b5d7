"""Every method with every objective: two steps of the loop whose gradient reaches every trained
weight, or a refusal with reason.

Both are found in their folders, so a new file is covered the moment it is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from material.house import House, house, kinds_of, told_why  # noqa: F401
from tunesmith.batches.batch import Batch
from tunesmith.events.stream import Events
from tunesmith.models.calling.views import see
from tunesmith.models.roles import base_at_hand
from tunesmith.models.saved import load_run
from tunesmith.models.structure.heads import head_parts
from tunesmith.planning.make import make
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.keeping.save import Saver
from tunesmith.training.loop import gradient, update
from tunesmith.training.preparing import Ready, make_ready
from tunesmith.training.work import Position


def alike(objective: str) -> str:
    """The first objective with the same rows, head and roles: beside it only the loss is
    another.
    """
    of = [(name, OBJECTIVES.get(name)) for name in OBJECTIVES.names()]
    facts = {name: (one.eats, one.head, one.roles, one.two_sided) for name, one in of}
    return next(name for name in facts if facts[name] == facts[objective])


def pairs() -> list[Any]:
    """Objectives that differ in more than the loss meet LoRA on each kind of model, and each method
    one of them in turn; all other pairs are slow tests, for a third took 108 s.
    """
    found = []
    apart = [name for name in OBJECTIVES.names() if alike(name) == name]
    for objective in OBJECTIVES.names():
        for kind in kinds_of(objective):
            for column, method in enumerate(METHODS.names()):
                met = kind == "decoder" and apart[column % len(apart)] == objective
                fast = met or (method == "lora" and objective in apart)
                marks = () if fast else pytest.mark.slow
                found.append(
                    pytest.param(
                        objective, kind, method, id=f"{objective}-{kind}-{method}", marks=marks
                    )
                )
    return found


def stepped(ready: Ready) -> None:
    """Two steps as the loop makes them; the loss is a number, and every trained weight got a
    gradient.
    """
    work, at, reached = ready.work, Position(), set()
    for step in range(2):
        metrics, norm = gradient(
            work,
            work.batches(work.source.step(step, work.models).passes[0]),
            step + 1,
        )
        assert (
            torch.isfinite(torch.tensor([metrics["loss"].value, norm])).all()
            and metrics["loss"].count
        )
        reached |= {
            name for name, weight in work.named if weight.grad is not None and weight.grad.any()
        }
        update(work, at)
        at.step += 1
    assert reached == {name for name, _ in work.named} and reached
    for part in head_parts(work.model.model):
        assert any(f".{part}." in f".{name}" for name in reached), f"the new {part} is not trained"


def said(model: Any, batch: Batch) -> torch.Tensor:
    """What the model says of ``batch``, whatever its head."""
    with torch.no_grad():
        seen = see(model.eval(), batch)
        if seen.own_outputs_TC is not None:
            return seen.outputs_TC
        if seen.own_outputs_BC is not None:
            return seen.outputs_BC
        return seen.logprobs_N if len(batch.scored_N) else seen.features("ends")


@pytest.mark.filterwarnings("ignore:Unsupported layer type")
@pytest.mark.parametrize(("objective", "kind", "method"), pairs())
def test_it_trains_or_is_refused_with_the_reason(
    objective: str,
    kind: str,
    method: str,
    house: House,  # noqa: F811
    tmp_path: Path,
) -> None:
    run = house.run(objective, kind, method, tmp_path / "run")
    prepared = house.prepared(run, kind)
    plan = make(run, prepared=prepared)
    if plan.problems:
        told_why(method, objective, plan.problems)
        return
    ready = make_ready(plan.resolved, prepared, Events())
    work = ready.work
    batch = work.batches(work.source.step(0, work.models).passes[0])[0]
    reference = base_at_hand(work.model.model, work.model.layout, work.method)
    looked_at = [role for role in (reference, work.roles.get("teacher")) if role is not None]
    before = [said_by(role, batch) for role in looked_at]
    stepped(ready)
    for role, then in zip(looked_at, before, strict=True):
        assert torch.equal(said_by(role, batch), then), "what is only looked at has moved"
    same_from_disk(ready, batch)


def said_by(role: Any, batch: Batch) -> torch.Tensor:
    seen = role.see(batch)
    return seen.features("scored" if len(batch.scored_N) else "ends")


def same_from_disk(ready: Ready, batch: Batch) -> None:
    """What is saved answers alike when the run's folder is loaded."""
    work, folder = ready.work, RunFolder(ready.resolved.out)
    folder.path.mkdir()
    folder.run_yaml.write_text(ready.resolved.dump(), encoding="utf-8")
    objective = work.objective
    how = {"outputs": objective.outputs, "kept_head": work.model.kept_head, "objective": objective}
    Saver(work.model.model, ready.prepared.render, work.run, ready.base, work.method, **how)(
        folder.model, 2
    )
    torch.testing.assert_close(
        said(load_run(folder).model, batch), said(work.model.model, batch), rtol=1e-5, atol=1e-5
    )
