"""Distillation by hand, against trl's GKD, and from a teacher to a student through a whole run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import tiny_model
from material.headed import encoder
from material.pairs import models, pairs, stepped
from tunesmith import api
from tunesmith.batches.batch import Batch
from tunesmith.errors import SpecError
from tunesmith.models.calling.views import token_loss
from tunesmith.models.roles import FrozenModel
from tunesmith.settings.family import OBJECTIVES

KINDS: list[dict[str, Any]] = [
    {"divergence": "forward_kl"},
    {"divergence": "reverse_kl"},
    {"divergence": "jsd", "beta": 0.3},
    {"divergence": "jsd"},
]


def made(**settings: Any) -> Any:
    return OBJECTIVES.make(OBJECTIVES.config({"name": "distill", "teacher": "-", **settings}))


def test_by_hand() -> None:
    p, q = (0.75, 0.25), (0.5, 0.5)
    teacher, student = (torch.tensor([[math.log(x) for x in one]]) for one in (p, q))

    def kl(one: tuple[float, ...], other: tuple[float, ...]) -> float:
        return sum(x * math.log(x / y) for x, y in zip(one, other, strict=True))

    m = tuple(0.3 * x + 0.7 * y for x, y in zip(p, q, strict=True))
    expected = [kl(p, q), kl(q, p), 0.3 * kl(p, m) + 0.7 * kl(q, m)]
    found = [float(made(**kind).divergence(teacher, student)) for kind in KINDS[:3]]
    assert found == pytest.approx(expected, rel=1e-5)
    flat = tuple(math.sqrt(x) / sum(map(math.sqrt, p)) for x in p)
    assert float(made(temperature=2.0).divergence(teacher, student)) == pytest.approx(
        4 * kl(flat, q), rel=1e-5
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("heat", [1.0, 2.0])
def test_it_is_trls(kind: dict[str, Any], heat: float) -> None:
    from trl.experimental.gkd.gkd_trainer import GKDTrainer

    torch.manual_seed(0)
    teacher, student = torch.randn(7, 31), torch.randn(7, 31, requires_grad=True)
    ours = made(**kind, temperature=heat).divergence(teacher, student).sum() / heat**2
    beta = {"forward_kl": 0.0, "reverse_kl": 1.0}.get(kind["divergence"], kind.get("beta", 0.5))
    theirs = GKDTrainer.generalized_jsd_loss(
        student[None], teacher[None], beta=beta, temperature=heat, reduction="sum"
    )
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    one, other = (torch.autograd.grad(loss, student)[0] for loss in (ours, theirs))
    assert float((one - other).norm() / other.norm()) < 1e-5


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_one_gradient_however_a_step_is_cut_and_none_from_oneself(kind: dict[str, Any]) -> None:
    policy, other = models()
    rows = [[one] for row in pairs() for one in row]

    class Told:
        """The objective with its teacher, as the loop gives it."""

        def __init__(self, teacher: Any, layout: str = "forest") -> None:
            self.objective, self.role = made(**kind, hard=0.25), FrozenModel(teacher, layout)

        def prepare(self, *_: Any) -> None:
            """Nothing."""

        def loss(self, models: dict[str, Any], batch: Batch) -> Any:
            return self.objective.loss(models | {"teacher": self.role}, batch)

    whole = stepped(Told(other), policy, [Batch.grow(rows)])
    for batches in (
        [Batch.grow([row]) for row in rows],
        [Batch.grow(rows[:9]), Batch.grow(rows[9:])],
        [Batch.grow(rows).padded()],
    ):
        loss, gradient = stepped(Told(other), policy, batches)
        assert loss == pytest.approx(whole[0], rel=1e-5)
        assert float((gradient - whole[1]).norm() / whole[1].norm()) < 1e-4
    padded = stepped(Told(other, "padded"), policy, [Batch.grow(rows)])
    assert padded[0] == pytest.approx(whole[0], rel=1e-5)
    own = Told(policy).loss({"policy": policy}, Batch.grow(rows)).metrics
    assert own["divergence"].value == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        assert own["nll"].value == pytest.approx(
            token_loss(policy, Batch.grow(rows)).metrics["loss"].value, rel=1e-5
        )
    assert own["loss"].value == pytest.approx(0.25 * own["nll"].value, rel=1e-4)


def run(folder: Path, student: Path, teacher: Path, **more: Any) -> dict[str, Any]:
    rows = [
        {"prompt": f"What is number {n}?", "completion": f"It is {n * 7 % 10}."} for n in range(60)
    ]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    train = {"steps": 30, "batch": 8, "learning_rate": 5e-3, "keep": {"evaluate": 15, "save": 0}}
    objective = {"name": "distill", "teacher": str(teacher), **more}
    data = {"path": str(folder / "rows.json"), "held_out": 10}
    return {
        "model": str(student),
        "data": data,
        "out": str(folder / "run"),
        "objective": objective,
        "train": train,
    }


@pytest.mark.slow  # 3 s
def test_a_student_comes_nearer_to_its_teacher(tiny_llama: Path, tmp_path: Path) -> None:
    # A vocabulary padded to another size, as in Qwen2.5's larger models.
    teacher = tiny_model(tmp_path / "teacher", vocab_size=416, hidden_size=48)
    folder = api.train(run(tmp_path, tiny_llama, teacher))
    seen = [line["evaluation"]["divergence"] for line in folder.steps() if "evaluation" in line]
    assert seen[-1] < 0.8 * seen[0]
    assert api.predict(folder, [{"prompt": "What is number 3?"}])[0]["prediction"] is not None


def test_a_teacher_that_cannot_teach_is_refused_before_weights_load(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = tiny_model(tmp_path / "teacher")
    text = (
        (teacher / "tokenizer.json").read_text(encoding="utf-8").replace("<|endoftext|>", "<|end|>")
    )
    (teacher / "tokenizer.json").write_text(text, encoding="utf-8")
    plan = api.plan(run(tmp_path, tiny_llama, teacher))
    told = {problem.where: problem.text for problem in plan.problems}
    assert (
        "has another vocabulary than the student" in told["objective.teacher"]
        and "objective=sft" in told["objective.teacher"]
    )
    plan = api.plan(run(tmp_path, tiny_llama, encoder(tmp_path / "reads")))
    assert [problem.where for problem in plan.problems] == [
        "objective.teacher"
    ] and "is an encoder" in plan.problems[0].text
    plan = api.plan(run(tmp_path, tiny_llama, Path("no/such/teacher")))
    assert [problem.where for problem in plan.problems] == [
        "objective.teacher"
    ] and "no/such/teacher" in plan.problems[0].text
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    told = api.plan(run(tmp_path, tiny_llama, Path("no-such-teacher"))).problems[0]
    assert (
        told.where == "objective.teacher"
        and "objective.teacher=ms:<id>" in told.text
        and " model=" not in told.text
    )
    with pytest.raises(
        SpecError,
        match=r"objective\.teacher: nothing is given, and it is required; .* explain objective\.teacher",
    ):
        api.plan({"model": "m", "data": "d", "out": "o", "objective": "distill"})
    with pytest.raises(SpecError, match="it is used by jsd"):
        made(divergence="reverse_kl", beta=0.3)
