"""Another objective, held to the base: closed forms on a tiny model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import tunesmith as ts
from conftest import tiny_model
from material import runs
from tunesmith.batches.batch import Batch
from tunesmith.errors import SpecError
from tunesmith.events.stream import Events
from tunesmith.models.calling.views import see
from tunesmith.objectives import OBJECTIVES
from tunesmith.planning.make import make
from tunesmith.report.build import build
from tunesmith.training.preparing import make_ready
from tunesmith.training.start import train
from tunesmith.training.work import Work


def held(**settings: Any) -> dict[str, Any]:
    return {"objective": {"name": "distill_to_base", **settings}}


def work_of(out: Path, model: Path, **overrides: Any) -> Work:
    one = runs.resolved(out, model, **overrides)
    return make_ready(one, runs.data_of(one), Events()).work


def moved(work: Work) -> Work:
    """The weights somewhere else than at the base, dropout off."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, weight in work.named:
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    work.model.model.eval()
    return work


def batch_of(work: Work) -> Batch:
    return work.batches(work.source.step(0, work.models).passes[0])[0]


METHODS = [{"name": "lora", "rank": 4}, "full"]


@pytest.mark.parametrize("method", METHODS, ids=["adapter off", "second copy"])
def test_the_loss_is_the_inner_one_and_the_weighted_kl_to_the_base(method, tiny_llama, tmp_path):
    settings = held(weight=0.3, temperature=2.0) | {"method": method}
    work = moved(work_of(tmp_path / "run", tiny_llama, **settings))
    batch, policy = batch_of(work), work.model.model
    loss = work.objective.loss(work.models, batch)
    inner = OBJECTIVES.make(OBJECTIVES.config("sft")).loss(work.models, batch)
    base = runs_base(tiny_llama)
    with torch.no_grad():
        q_NV = see(policy, batch).head.logits(see(policy, batch).features("scored"))
        p_NV = see(base, batch.padded()).head.logits(see(base, batch.padded()).features("scored"))
        q, p = (q_NV / 2).log_softmax(-1), (p_NV / 2).log_softmax(-1)
        expected = 4 * (batch.weights_N * (p.exp() * (p - q)).sum(-1)).sum()
    distance = loss.metrics["kl_to_base"]
    assert float(expected) > 0.01, "the policy has moved"
    assert distance.sum == pytest.approx(float(expected), rel=1e-4)
    assert float(loss.total.detach()) == pytest.approx(
        float(inner.total.detach()) + 0.3 * float(expected), rel=1e-5
    )
    assert loss.metrics["loss"].sum == pytest.approx(float(inner.total), rel=1e-6)
    loss.total.backward()
    theirs = {name: weight.grad.clone() for name, weight in work.named if weight.grad is not None}
    work.optimizer.zero_grad()
    # The gradient by autograd over whole logits.
    seen = see(policy, batch)
    q = (seen.head.logits(seen.features("scored")) / 2).log_softmax(-1)
    kl = 4 * (batch.weights_N * (p.exp() * (p - q)).sum(-1)).sum()
    nll = -(batch.weights_N * see(policy, batch).logprobs_N).sum()
    (nll + 0.3 * kl).backward()
    for name, weight in work.named:
        torch.testing.assert_close(theirs[name], weight.grad, rtol=1e-3, atol=1e-5)


def runs_base(folder: Path) -> torch.nn.Module:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def test_at_the_base_it_is_the_inner_objective(tiny_llama, tmp_path):
    work = work_of(tmp_path / "run", tiny_llama, **held(weight=5.0))
    work.model.model.eval()
    batch = batch_of(work)
    loss = work.objective.loss(work.models, batch)
    inner = OBJECTIVES.make(OBJECTIVES.config("sft")).loss(work.models, batch)
    assert loss.metrics["kl_to_base"].sum == pytest.approx(0.0, abs=1e-5)
    assert float(loss.total) == pytest.approx(float(inner.total), rel=1e-6)


def test_one_forward_of_the_policy_serves_both(tiny_llama, tmp_path):
    work = work_of(tmp_path / "run", tiny_llama, **held())
    calls: list[int] = []
    head = work.model.model.get_output_embeddings()
    trunk = work.model.model.base_model.model.model
    handle = trunk.register_forward_hook(lambda *_: calls.append(1))
    work.objective.loss(work.models, batch_of(work))
    handle.remove()
    assert len(calls) == 2 and head is not None, "one of the policy, one of the base behind it"


def test_a_unit_of_another_size_takes_the_mean_of_its_tokens(tiny_llama, tmp_path):
    """Weight and unit: doubling what a sequence counts doubles its share of the distance."""
    from tunesmith.objectives.distill_to_base import _shares

    work = work_of(tmp_path / "run", tiny_llama)
    rows = work.source.step(0, work.models).passes[0]
    token, example = (Batch.grow(rows, unit=unit) for unit in ("token", "example"))
    assert torch.equal(_shares(token), token.weights_N)
    sums_B = torch.zeros(len(rows)).index_add(0, example.owner_N, _shares(example))
    torch.testing.assert_close(sums_B, torch.ones(len(rows)))
    assert float(_shares(token.unscored()).sum()) == 0.0, "an idle batch adds nothing, and no nan"


@pytest.mark.slow  # 3 s
def test_a_strong_weight_keeps_the_model_closer(tiny_llama, prepared_rows, tmp_path):
    def distance(weight: float) -> float:
        settings = held(weight=weight) | {"train.steps": 8}
        one = runs.resolved(tmp_path / f"{weight}", tiny_llama, **settings)
        folder = train(one, runs.data_of(one, watch=8))
        last = [line["evaluation"] for line in folder.steps() if "evaluation" in line][-1]
        return last["kl_to_base"]

    assert distance(20.0) < 0.5 * distance(0.01)


@pytest.fixture
def prepared_rows() -> None:
    torch.set_num_threads(1)


def test_the_plan_counts_the_second_model_where_there_is_one(tiny_llama, tmp_path):
    def beside(method: Any, **objective: Any) -> float:
        one = runs.resolved(tmp_path / "run", tiny_llama, **held(**objective) | {"method": method})
        return make(one.run).facts["memory_terms_gib"]["beside"]

    full = make(runs.resolved(tmp_path / "run", tiny_llama, method="full").run).facts
    assert full["memory_terms_gib"]["beside"] == 0.0
    assert beside({"name": "lora"}) == 0.0
    expected = full["parameters"] * 4 / 2**30
    assert beside("full") == pytest.approx(expected, abs=1e-4)


def test_what_has_no_vocabulary_is_refused():
    with pytest.raises(SpecError, match=r"objective\.of: distill_to_base cannot hold classify"):
        OBJECTIVES.make(OBJECTIVES.config({"name": "distill_to_base", "of": "classify"}))


def test_preferences_are_held_to_the_base_too(tiny_llama, tmp_path):
    """The unit is a pair: a side's distance is the mean over its tokens, and each side is half."""
    rows = [
        {"prompt": f"How far is {n}?", "chosen": f"{n} km", "rejected": "no" * (1 + n % 3)}
        for n in range(8)
    ]
    data = tmp_path / "pairs.json"
    data.write_text(json.dumps(rows), encoding="utf-8")
    settings = held(of={"name": "dpo", "beta": 0.2}, weight=0.5)
    settings |= {"data": {"path": str(data), "held_out": 0}, "method": METHODS[0]}
    work = moved(work_of(tmp_path / "run", tiny_llama, **settings))
    batch, objective = batch_of(work), work.objective
    assert batch.units == 8.0 and set(objective.roles) == {"base", "reference"}
    loss = objective.loss(work.models, batch)
    inner = OBJECTIVES.make(OBJECTIVES.config({"name": "dpo", "beta": 0.2}))
    expected = 0.0
    base = runs_base(tiny_llama)
    with torch.no_grad():
        plain = float(inner.loss(work.models, batch).total)
        for example in batch.sequences:
            for tokens in example:
                one = Batch.grow([[tokens]]).padded()
                q, p = (
                    see(model, one).head.logits(see(model, one).features("scored")).log_softmax(-1)
                    for model in (work.model.model, base)
                )
                expected += float((p.exp() * (p - q)).sum(-1).mean()) / 2
    assert loss.metrics["kl_to_base"].value == pytest.approx(expected / 8, rel=1e-4)
    assert float(loss.total.detach()) == pytest.approx(plain + 0.5 * expected, rel=1e-5)


def test_a_run_held_to_the_base_goes_on_bit_equal(tiny_llama, tmp_path):
    keep = {"evaluate": 0, "save": 2, "keep": 9}
    one = runs.resolved(
        tmp_path / "run", tiny_llama, **held() | {"train.keep": keep, "train.steps": 4}
    )
    folder = train(one, None)
    whole, record = runs.weights(folder.model), runs.record(folder)
    shutil.rmtree(folder.checkpoints / "step-00000004")
    shutil.rmtree(folder.model)
    train(one, None, resume=True)
    assert runs.weights(folder.model) == whole and runs.record(folder) == record


WORDS = ("pair accuracy", "reward accuracy", "chosen", "tunesmith chat")
PAIRS = [
    {"prompt": f"How far is {n}?", "chosen": f"{n} km", "rejected": "no" * (1 + n % 3)}
    for n in range(40)
]


def spoken(folder: Path, model: Path, objective: Any, **changes: Any) -> dict[str, Any]:
    (folder / "pairs.json").write_text(json.dumps(PAIRS), encoding="utf-8")
    return {
        "model": str(model),
        "data": {"path": str(folder / "pairs.json"), "held_out": 16},
        "objective": objective,
        "method": METHODS[0],
        "out": str(folder / "run"),
        "train": {"steps": 2, "batch": 4, "machine": {"threads": 1, "memory": 8}},
        "prove": {"shots": 0},
        "generate": {"max_new_tokens": 4},
    } | changes


@pytest.mark.slow  # 6 s
def test_every_verb_goes_by_the_inner_objective(tiny_llama: Path, tmp_path: Path) -> None:
    """A run held to the base is planned, trained, proved, reported and asked as its dpo alone."""
    found: dict[str, Any] = {}
    for name, objective in (
        ("alone", {"name": "dpo", "beta": 0.2}),
        ("held", {"name": "distill_to_base", "of": {"name": "dpo", "beta": 0.2}}),
    ):
        place = tmp_path / name
        place.mkdir()
        keep = {"evaluate": 1, "best_by": "margin"}
        asked = spoken(place, tiny_llama, objective)
        asked["train"] = asked["train"] | {"keep": keep}
        planned = ts.plan(asked).require()
        run = ts.train(asked)
        assert run.run_yaml.read_text(encoding="utf-8") == planned.resolved.dump()
        ts.prove(run)
        proof = run.read(run.proof)
        page = build(run).read_text(encoding="utf-8")
        (answered,) = ts.predict(run, [{"prompt": "How far is 3?"}])
        (step,) = [line for line in run.steps() if line.get("step") == 2 and "loss" in line]
        found[name] = {
            "rate": planned.resolved.run.train.learning_rate,
            "why": planned.resolved.origins["train.learning_rate"].reason.replace(
                "distill_to_base", "dpo"
            ),
            "record": {*step} - {"kl_to_base"},
            "primary": proof["primary"],
            "metrics": sorted(proof["contenders"]["tuned"]),
            "page": [one for one in WORDS if one in page],
            "answer": sorted(answered),
        }
        assert ("kl_to_base" in step) == (name == "held")
    assert found["held"] == found["alone"] and len(found["held"]["page"]) > 1


@pytest.mark.slow  # 2 s
def test_a_teacher_may_stand_inside(tiny_llama: Path, tmp_path: Path) -> None:
    teacher = tiny_model(tmp_path / "teacher", intermediate_size=32)
    rows = [{"prompt": one["prompt"], "completion": one["chosen"]} for one in PAIRS]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    settings = spoken(tmp_path, tiny_llama, {"name": "distill_to_base"})
    settings["data"] = {"path": str(tmp_path / "rows.json"), "held_out": 8}
    settings["objective"]["of"] = {"name": "distill", "teacher": str(tmp_path / "nowhere")}
    assert {one.where for one in ts.plan(settings).problems} == {"objective.of.teacher"}
    settings["objective"]["of"]["teacher"] = str(teacher)
    run = ts.train(settings)
    losses = [line for line in run.steps() if "loss" in line]
    assert all({"divergence", "kl_to_base"} <= {*line} for line in losses) and len(losses) == 2
    settings["objective"]["of"]["beta"] = 0.3
    with pytest.raises(SpecError, match=r"^objective\.of\.beta"):
        OBJECTIVES.make(OBJECTIVES.config(settings["objective"]))
