"""On a device with CUDA's rules: nothing is mixed with tensors on the CPU, a step waits for the
device at most twice, and a batch goes there in one piece. ``test_strict_device.py`` runs this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from material.house import House, house, kinds_of
from material.strict_device import DEVICE, Strict, StrictMode, copies, place, reset, waits
from tunesmith.batches.sending import sent_together
from tunesmith.events.stream import Events
from tunesmith.models.calling.generate import generate
from tunesmith.models.roles import FrozenModel
from tunesmith.models.roles.start import FromStart, start_of
from tunesmith.models.roles.value import Values
from tunesmith.outputs.vectors import vectors_of
from tunesmith.planning.make import make
from tunesmith.predicting.classes import outputs_of
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.settings.family import METHODS, OBJECTIVES
from tunesmith.settings.run import Generate
from tunesmith.training.evaluation.watch import held_out_loss
from tunesmith.training.loop import Position, gradient, update
from tunesmith.training.optimizers import OPTIMIZERS, split_by_rate
from tunesmith.training.preparing import Ready, make_ready
from tunesmith.training.work import Work

__all__ = ["house"]
PACKAGE = Path(__file__).parents[2] / "tunesmith"


def test_the_device_keeps_cudas_rules() -> None:
    with StrictMode():
        reset()
        x = torch.arange(6.0).to(DEVICE)
        assert x.device == DEVICE and isinstance(x, Strict) and sum(copies().values()) == 1
        with pytest.raises(RuntimeError, match=r"aten.add: tensors on strict and on cpu"):
            _ = x + torch.ones(6)
        y = (x + torch.tensor(1.0)) * 2
        assert not waits()
        assert float(y.sum()) == 42 and y[y > 4].shape == (4,) and y.cpu()[0] == 2
        assert sum(waits().values()) == 3


def on_strict(ready: Ready) -> Work:
    """The run's work with its models on the device, and an optimizer for their weights there."""
    work = ready.work
    place(work.model.model)
    for name, role in work.roles.items():
        if isinstance(role, FromStart):
            counts = {key: value.to(DEVICE) for key, value in role.fisher.items()}
            work.roles[name] = replace(start_of(work.model.model, work.method), fisher=counts)
        else:
            for model in modules_of(role):
                place(model)
    work.device.place = DEVICE
    work.named = [
        (name, weight)
        for name, weight in work.model.model.named_parameters()
        if weight.requires_grad
    ]
    for role, held in work.roles.items():
        if isinstance(held, Values):
            own = modules_of(held)
            weights = [pair for module in own for pair in module.named_parameters()]
            work.named += [(f"{role}/{name}", one) for name, one in weights if one.requires_grad]
    train = work.run.train
    assert train.learning_rate is not None
    work.optimizer = OPTIMIZERS.make(train.optimizer).build(
        work.named, train.learning_rate, train.weight_decay
    )
    split_by_rate(work.optimizer, work.named, work.method.rate_factor)
    return work


def modules_of(role: object) -> list[Any]:
    """The models that a role holds."""
    if isinstance(role, FrozenModel):
        return [role.model]
    assert isinstance(role, Values), role
    return [role.head, *role.modules()]


NOT_EMULATED = {
    "p_tuning": "torch has no LSTM cell for private devices",
    "experts": "torch counts integers with histc, which its CPU kernel does not take",
    "qlora": "bitsandbytes makes tensors of a class of its own",
}


def forwards() -> set[str]:
    """The lines at which our code calls a model; a prompt before an encoder's words calls it from a
    file of its own.
    """
    found = set()
    for name, call in (
        ("models/calling/views.py", "output = model(**"),
        ("models/adapters/prompt_in_encoder.py", "return base(**call)"),
    ):
        lines = (PACKAGE / name).read_text(encoding="utf-8").splitlines()
        found |= {f"{name}:{n}" for n, line in enumerate(lines, 1) if call in line}
    return found


PEFT_WAITS = {"adalora"}
"""peft reads the threshold and each layer's ranks, in the steps that move them."""


LOSSES = ("sft", "dpo", "kto", "ppo", "gkd", "classify", "embed")


def walk() -> Iterator[Any]:
    """Every method with every objective and kind of model; fast are LoRA with an objective of each
    kind of loss, and two methods of other kinds than its with sft.
    """
    for objective in OBJECTIVES.names():
        for kind in kinds_of(objective):
            for method in METHODS.names():
                if method in NOT_EMULATED:
                    continue
                shown = objective == "sft" and method in ("full", "prefix")
                lora = method == "lora" and objective in LOSSES
                fast = (shown or lora) and kind == "decoder"
                marks = () if fast else pytest.mark.slow
                yield pytest.param(
                    objective, kind, method, id=f"{objective}-{kind}-{method}", marks=marks
                )


def ready_for(objective: str, kind: str, method: str, house: House, out: Path) -> Ready | None:
    """The run made ready on the CPU; None where it is refused."""
    run = house.run(objective, kind, method, out)
    prepared = house.prepared(run, kind)
    plan = make(run, prepared=prepared)
    return None if plan.problems else make_ready(plan.resolved, prepared, Events())


@pytest.mark.filterwarnings("ignore:Unsupported layer type")
@pytest.mark.parametrize(("objective", "kind", "method"), list(walk()))
def test_a_step_mixes_nothing_and_waits_twice(
    objective: str, kind: str, method: str, house: House, tmp_path: Path
) -> None:
    ready = ready_for(objective, kind, method, house, tmp_path / "run")
    if ready is None:
        return  # what is refused, and why, is tests/methods/test_every_objective.py's
    with StrictMode():
        work, at = on_strict(ready), Position()
        # transformers looks whether a mask is all ones, where it builds masks of its own.
        built = set() if kind == "decoder" else forwards()
        for step in range(2):
            # What a step samples it waits for, a token at a time; what it learns from is counted.
            examples = work.source.step(step, work.models).passes[0]
            reset()
            batches = work.batches(examples)
            metrics, norm = gradient(work, batches, step + 1)
            update(work, at)
            at.step += 1
            assert norm > 0 and metrics["loss"].count
            # The step's metrics, all in one, and the norm of its gradient.
            told = {line: count for line, count in waits().items() if line not in built}
            assert sum(told.values()) == 2 or method in PEFT_WAITS, waits()
            if objective == "sft" and method == "lora" and kind == "decoder":
                # Of each micro-batch the batch, and the indices of its attention.
                assert len(copies()) == 1 and len(batches) > 1
                assert sum(copies().values()) == 2 * len(batches), copies()


def test_an_evaluation_waits_once_and_gives_the_cpus_numbers(house: House, tmp_path: Path) -> None:
    for objective in ("sft", "classify", "reward", "embed"):
        ready = ready_for(objective, "decoder", "lora", house, tmp_path / objective)
        assert ready is not None
        work, items = ready.work, ready.prepared.train
        how: Any = {"budget": 64, "stopped": lambda: False}
        wanted = held_out_loss(work.model, work.objective, items, work.device, **how)
        with StrictMode():
            on_strict(ready)
            reset()
            found = held_out_loss(work.model, work.objective, items, work.device, **how)
        assert found == pytest.approx(wanted, rel=1e-5) and sum(waits().values()) == 1, waits()


def test_answers_and_what_a_proof_compares_are_the_cpus(house: House, tmp_path: Path) -> None:
    settings = Generate(max_new_tokens=6)

    def said(objective: str, ready: Ready) -> list[Any]:
        work = ready.work
        sequences = [item.tokens for item in ready.prepared.train]
        if objective == "embed":
            return [vectors_of(work.model, work.objective, [one[0] for one in sequences])]
        if objective != "sft":
            return [outputs_of(work.model, [one[0] for one in sequences])]
        prompts = [one[0].ids_T[:-4] for one in sequences]
        render = ready.prepared.render
        how: Any = {"stop_ids": render.stop_ids, "seed": 0}
        answers = generate(work.model.model, render.tokenizer, prompts, settings, **how)
        return [*likelihoods(work.model, sequences), *(answer.text for answer in answers)]

    for objective in ("sft", "classify", "reward", "embed"):
        ready = ready_for(objective, "decoder", "lora", house, tmp_path / objective)
        assert ready is not None
        ready.work.model.model.eval()
        wanted = said(objective, ready)
        with StrictMode():
            on_strict(ready)
            ready.work.model.model.eval()
            found = said(objective, ready)
        for ours, theirs in zip(found, wanted, strict=True):
            assert (
                ours == theirs
                if isinstance(ours, str)
                else ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)
            )


def test_tensors_of_every_type_and_shape_arrive_in_one_piece() -> None:
    tensors = [
        torch.arange(7),
        torch.ones(3, 1, dtype=torch.bool),
        torch.tensor(2.5),
        torch.zeros(0, 4, dtype=torch.bfloat16),
        torch.arange(6.0).view(2, 3).T,
        torch.ones(1, dtype=torch.long).expand(5),
    ]
    with StrictMode():
        reset()
        sent = sent_together(tensors, DEVICE)
        assert sum(copies().values()) == 1 and not waits()
        for ours, theirs in zip(sent, tensors, strict=True):
            assert ours.device == DEVICE and ours.dtype == theirs.dtype
            assert torch.equal(ours.cpu(), theirs)
