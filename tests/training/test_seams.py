"""What is built on the loop without touching it: several updates a step, a trained role, and work
on each example's own gradient.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from material import runs
from tunesmith.batches.batch import Batch, Loss, Ratio, Tokens
from tunesmith.batches.order import Order
from tunesmith.data.prepare import Prepared
from tunesmith.events.stream import Events
from tunesmith.examples import Chat
from tunesmith.models.calling.views import see
from tunesmith.models.roles import ROLES, Role
from tunesmith.objectives import OBJECTIVES, Objective
from tunesmith.settings.spec import Spec
from tunesmith.storage.run_folder import RunFolder
from tunesmith.training.loop import gradient
from tunesmith.training.preparing import Ready, make_ready
from tunesmith.training.sources import SOURCES, Step, StepSource
from tunesmith.training.start import train
from tunesmith.training.work import Backward, Work

PLAIN = {
    "method": {"name": "lora", "rank": 4},
    "train.warmup": 0,
    "train.keep": {"evaluate": 0, "save": 2, "keep": 9},
}


class Drawn(StepSource):
    """Rows drawn with a generator of its own, some steps without any."""

    class Config(Spec):
        """Which steps are empty, and in how many updates the others are made."""

        empty: tuple[int, ...] = ()
        updates: int = 1
        by_order: bool = False

    def open(self, run: Any, prepared: Prepared, processes: Any) -> None:
        self.passes = self.config.updates
        self.items, self.total = prepared.train, run.train.steps
        self.order = Order(len(self.items), run.train.batch, run.train.seed)
        self.generator = torch.Generator().manual_seed(run.train.seed)

    def step(self, number: int, models: Mapping[str, Any]) -> Step:
        assert models["policy"].config.vocab_size, "the source may ask the policy"
        if number in self.config.empty:
            return Step([], [], {"reward": 0.25})
        rows = (
            self.order.taken(number)
            if self.config.by_order
            else torch.randint(len(self.items), (8,), generator=self.generator).tolist()
        )
        size = len(rows) // self.passes
        examples = [self.items[row].tokens for row in rows]
        parts = [examples[n * size : (n + 1) * size] for n in range(self.passes)]
        return Step(parts, [self.items[row].id for row in rows], {"reward": 0.5})

    def epoch(self, steps: int) -> float:
        return float(steps)

    def state(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state(), "drawn": 1}

    def load_state(self, state: dict[str, Any]) -> None:
        assert state["drawn"] == 1
        self.generator.set_state(state["generator"])


class Value(Role):
    """A head of its own on the policy's features."""

    def model(self, policy: Any, method: Any) -> torch.nn.Linear:
        self.head = torch.nn.Linear(policy.model.config.hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        return self.head

    def trained(self) -> Iterable[tuple[str, torch.nn.Parameter]]:
        return self.head.named_parameters()


class Valued(Objective):
    """The answers, and a value of every token that should become 1."""

    eats, unit, roles = Chat, "token", frozenset({"value_head"})

    def encode(self, example: Any, render: Any) -> list[Tokens]:
        return render.chat(example)

    def loss(self, models: dict[str, Any], batch: Batch) -> Loss:
        seen = see(models["policy"], batch)
        values_N = models["value_head"](seen.features("scored").detach()).squeeze(-1)
        error = ((values_N - 1) ** 2).sum()
        total = -(batch.weights_N * seen.logprobs_N).sum() + error
        told = {"loss": float(total.detach()), "value_error": float(error.detach())}
        return Loss(total, {name: Ratio(value, batch.units) for name, value in told.items()})


@pytest.fixture(autouse=True)
def plug_ins() -> Iterator[None]:
    """The families with what is defined here, for one test."""
    named = (
        (SOURCES, Drawn, "drawn"),
        (ROLES, Value, "value_head"),
        (OBJECTIVES, Valued, "valued"),
    )
    for family, cls, name in named:
        cls.__module__ = f"anywhere.{name}"
        cls.Config = cls.__dict__.get("Config", Spec)
        family.register(cls)
    yield
    for family, _, name in named:
        family._classes.pop(name)


def trained(out: Path, model: Path, prepared: Prepared, **overrides: Any) -> RunFolder:
    return train(runs.resolved(out, model, **PLAIN | overrides), prepared)


def lines(folder: RunFolder) -> list[dict[str, Any]]:
    return [line for line in folder.steps() if "learning_rate" in line or "reward" in line]


def test_two_updates_a_step_are_two_steps_of_half_the_rows(tiny_llama, prepared, tmp_path):
    source = {"name": "drawn", "by_order": True, "updates": 2}
    two = trained(tmp_path / "two", tiny_llama, prepared, source=source, **{"train.steps": 3})
    half = {"train.steps": 6, "train.batch": 4}
    one = trained(tmp_path / "one", tiny_llama, prepared, **half)
    assert runs.weights(two.model) == runs.weights(one.model)
    told, apart = lines(two), lines(one)
    assert [line["learning_rate"] for line in told] == [
        line["learning_rate"] for line in apart[1::2]
    ]
    assert [line["tokens"] for line in told] == [
        first["tokens"] + second["tokens"]
        for first, second in zip(apart[::2], apart[1::2], strict=True)
    ]
    assert all(line["reward"] == 0.5 for line in told)


def test_a_step_without_examples_moves_neither_weights_nor_schedule(tiny_llama, prepared, tmp_path):
    same = {"train.schedule": "constant"}
    source = {"name": "drawn", "by_order": True, "empty": (2,)}
    with_empty = trained(
        tmp_path / "three", tiny_llama, prepared, source=source, **same, **{"train.steps": 3}
    )
    two = trained(tmp_path / "two", tiny_llama, prepared, **same, **{"train.steps": 2})
    assert runs.weights(with_empty.model) == runs.weights(two.model)
    last = lines(with_empty)[-1]
    assert last["step"] == 3 and last["reward"] == 0.25 and last["tokens"] == 0
    assert "loss" not in last


def test_a_trained_role_and_a_drawing_source_go_on_where_they_stopped(
    tiny_llama, prepared, tmp_path
):
    settings = {"objective": "valued", "source": "drawn", "train.steps": 6}
    prepared = runs.data_of(runs.resolved(tmp_path / "unused", tiny_llama, objective="valued"))
    straight = trained(tmp_path / "straight", tiny_llama, prepared, **settings)
    errors = [line["value_error"] for line in lines(straight)]
    assert errors[0] == pytest.approx(1.0), "the head begins at zero"
    assert errors[-1] < errors[0], "its weights are trained"

    def state(step: int) -> bytes:
        folder = straight.checkpoints / f"step-{step:08d}"
        return (folder / "weights.safetensors").read_bytes()

    whole, record = state(6), runs.record(straight)
    assert b"value_head/weight" in whole and state(4) != whole
    shutil.rmtree(straight.checkpoints / "step-00000006")
    shutil.rmtree(straight.model)
    one = runs.resolved(straight.path, tiny_llama, **PLAIN | settings)
    train(one, prepared, resume=True)
    assert state(6) == whole
    assert runs.record(straight) == record


class EachClipped(Backward):
    """Clips the gradient of every example to a norm (Abadi et al. 2016, algorithm 1), no noise."""

    apart = True

    def __init__(self, limit: float) -> None:
        self.limit, self.norms = limit, []

    def add(self, work: Work, total: torch.Tensor, batch: Batch, units: float) -> None:
        weights = [weight for _, weight in work.named]
        found = torch.autograd.grad(total, weights)
        norm = float(torch.stack([one.norm() for one in found]).norm())
        self.norms.append(norm)
        for weight, one in zip(weights, found, strict=True):
            share = one * min(1.0, self.limit / norm) / units
            weight.grad = share if weight.grad is None else weight.grad + share

    def finish(self, work: Work) -> None:
        for _, weight in work.named:
            assert weight.grad is not None
            weight.grad = 2 * weight.grad


def test_privacy_can_stand_between_the_losses_and_the_gradient(tiny_llama, prepared, tmp_path):
    def ready(name: str) -> Ready:
        one = runs.resolved(tmp_path / name, tiny_llama, **PLAIN | {"train.clip": 0})
        return make_ready(one, prepared, Events())

    def norm(work: Work) -> float:
        examples = work.source.step(0, work.models).passes[0]
        return gradient(work, work.batches(examples), 1)[1]

    plain = norm(ready("plain").work)
    work = ready("wide").work
    work.backward = EachClipped(float("inf"))
    assert norm(work) == pytest.approx(2 * plain, rel=1e-5), "nothing is clipped, all is doubled"
    assert len(work.backward.norms) == 8, "every example came alone"
    work = ready("narrow").work
    work.backward = narrow = EachClipped(1e-3)
    units = sum(float(tokens.weights_T[1:].sum()) for row in first(work) for tokens in row)
    assert norm(work) <= 2 * 8 * 1e-3 / units * (1 + 1e-5)
    assert min(narrow.norms) > 1e-3, "each was clipped"


def first(work: Work) -> Any:
    return work.source.step(0, work.models).passes[0]
