"""The same for a tiny BERT classifier: its head is trained and saved with every method, or the plan
refuses with the reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from material.adapted import CASES as DECODERS
from material.adapted import called
from material.fast import slow_but
from material.headed import THREE, encoder
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.errors import SpecError
from tunesmith.events.stream import Events
from tunesmith.methods._peft import task_type
from tunesmith.models.adapters import beside_base
from tunesmith.models.adapters.attach import attach
from tunesmith.models.calling.views import see
from tunesmith.models.loading.load import load_model
from tunesmith.models.structure.heads import head_parts
from tunesmith.planning.make import make
from tunesmith.planning.shape import shape
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import validate
from tunesmith.training.preparing import make_ready

# BERT calls its norms otherwise.
CASES = [
    case | {"parts": "LayerNorm"} if case.get("parts") == "norm" else case for case in DECODERS
]
ALONE = [
    case
    for case in CASES
    if "encoder" in METHODS.get(case["name"]).kinds and case["name"] != "combined"
]
APART = ("full", "lora", "adalora", "bottleneck", "ln_tuning", "prompt", "moe_lora")
every = pytest.mark.parametrize("case", slow_but(APART, ALONE, called))
"""Methods that differ in where they change the model; the head is the same with all others, which
are slow tests: all took 48 s, and tests/methods/test_contract.py has each on a decoder.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked language model's checkpoint: neither pooler nor head."""
    return encoder(tmp_path_factory.mktemp("masked"), cls="AutoModelForMaskedLM")


def base(folder: Path) -> Any:
    torch.manual_seed(0)
    return load_model(
        folder, dtype=torch.float32, device="cpu", head="classes", outputs=THREE
    ).model


def batch_of(seed: int) -> Batch:
    draw = np.random.default_rng(seed)
    rows = [draw.integers(5, 150, length).astype(np.int32) for length in (12, 4, 8)]
    return Batch.grow(
        [[Tokens(ids, np.zeros(len(ids), np.float32))] for ids in rows], unit="sequence"
    ).padded()


def outputs(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return see(model.eval(), batch_of(99)).outputs_BC


def stepped(method: Any, model: Any, steps: int = 10) -> Any:
    optimizer = torch.optim.AdamW(
        [weight for weight in model.parameters() if weight.requires_grad], lr=1e-2
    )
    method.begin(steps)
    model.train()
    for step in range(1, steps + 1):
        batch = batch_of(step)
        loss = torch.nn.functional.cross_entropy(
            see(model, batch).outputs_BC, torch.tensor([0, 1, 2]), reduction="sum"
        )
        ((loss + method.penalty(batch)) / batch.units).backward()
        optimizer.step()
        method.after_step(step)
        optimizer.zero_grad()
    return model


def applied(case: dict[str, Any], folder: Path) -> tuple[Any, Any]:
    model = base(folder)
    torch.manual_seed(0)
    method = METHODS.make(METHODS.config(case))
    return method, method.apply(model)


@every
def test_it_starts_as_the_base_and_moves_the_head_and_every_weight_that_it_trains(
    case: dict[str, Any], folder: Path
) -> None:
    plain = outputs(base(folder))
    method, model = applied(case, folder)
    assert bool((outputs(model) - plain).abs().max() < 1e-4) == method.starts_as_base
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    stepped(method, model)
    moved = {name for name, weight in model.named_parameters() if not weight.equal(before[name])}
    assert moved == {name for name, weight in model.named_parameters() if weight.requires_grad}
    for part in ("classifier", "pooler"):
        assert [name for name in moved if part in name], part


@every
def test_head_and_all_answer_alike_in_a_fresh_model_and_in_plain_peft(
    case: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    from peft import PeftModel, PeftType
    from transformers import AutoModelForSequenceClassification

    method, model = applied(case, folder)
    stepped(method, model)
    method.save(model, tmp_path)
    wanted = outputs(model)
    if method.adapter:
        torch.manual_seed(1)  # another draw of what the checkpoint lacks
        plain = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
        models = [attach(base(folder), tmp_path)]
        if (
            json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8")).get(
                "peft_type"
            )
            in PeftType.__members__
        ):
            models.append(PeftModel.from_pretrained(plain, tmp_path))
            assert models[1].peft_config["default"].task_type == "SEQ_CLS" == task_type(plain)
    else:
        models = [AutoModelForSequenceClassification.from_pretrained(tmp_path)]
    for fresh in models:
        torch.testing.assert_close(
            outputs(fresh), wanted, rtol=1e-4, atol=1e-4 if method.rewrites_base else 1e-5
        )


@every
def test_merged_it_answers_as_before(case: dict[str, Any], folder: Path) -> None:
    method, model = applied(case, folder)
    if not method.merges:
        pytest.skip("does not merge")
    wanted = outputs(stepped(method, model))
    merged = beside_base.merge(model) if method.adapter else model
    torch.testing.assert_close(outputs(merged), wanted, rtol=1e-4, atol=1e-4)
    assert head_parts(merged)[0] == "classifier"


@every
def test_checkpointing_does_not_change_its_gradient(case: dict[str, Any], folder: Path) -> None:
    _, model = applied(case, folder)

    def gradient() -> torch.Tensor:
        model.zero_grad()
        see(model.train(), batch_of(7)).outputs_BC.square().sum().backward()
        return torch.cat(
            [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
        )

    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    plain = gradient()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    torch.testing.assert_close(gradient(), plain, rtol=1e-4, atol=1e-5)


def settings(case: dict[str, Any], folder: Path) -> Any:
    return validate(
        {
            "model": str(folder),
            "data": "unused",
            "out": "unused",
            "objective": "classify",
            "method": case,
        }
    )


@pytest.mark.parametrize("case", CASES, ids=called)
def test_the_plan_counts_its_weights_or_refuses_with_the_reason(
    case: dict[str, Any], folder: Path
) -> None:
    if case in ALONE:
        assert shape(folder, settings(case, folder)).trainable > 0
    elif case["name"] == "combined":
        with pytest.raises(
            SpecError, match="method: several methods at once cannot train a classification head"
        ):
            shape(folder, settings(case, folder))
    else:
        with pytest.raises(SpecError, match="cannot train an encoder"):
            shape(folder, settings(case, folder))


def test_the_experts_of_each_layer_are_told_after_a_run_is_continued_at_its_end(
    tmp_path: Path,
) -> None:
    """A pooler that came with the base reads one vector a row: it has no tokens to spread, and is
    not among them.
    """
    case, folder = {"name": "moe_lora", "rank": 4}, encoder(tmp_path)
    method, model = applied(case, folder)
    assert any("pooler" in name for name in method.layers)
    stepped(method, model, steps=2)
    told = method.at_end()["experts"]
    assert len(told) == len(method.layers) - 1 and not any("pooler" in name for name in told)
    again, _ = applied(case, folder)
    again.load_state(method.state())
    assert again.at_end()["experts"] == told


CLASSES = [{"text": f"the cat {n}", "label": "abcde"[n % 5]} for n in range(60)]
PAIRS = [{"anchor": f"the cat {n}", "positive": f"the dog {n}"} for n in range(60)]


@pytest.mark.parametrize("objective", ["classify", "embed"])
@pytest.mark.parametrize("cls", ["AutoModelForMaskedLM", "AutoModel"])
def test_the_plan_counts_what_the_run_trains(objective: str, cls: str, tmp_path: Path) -> None:
    """As many outputs as the rows have classes; a pooler that the checkpoint lacks whole, and none
    under vectors.
    """
    (tmp_path / "rows.json").write_text(
        json.dumps(CLASSES if objective == "classify" else PAIRS), encoding="utf-8"
    )
    common = {
        "model": str(encoder(tmp_path / "model", cls=cls)),
        "method": {"name": "lora", "rank": 4},
    }
    run = {
        "data": str(tmp_path / "rows.json"),
        "out": str(tmp_path / "run"),
        "objective": objective,
    }
    plan = make(validate(common | run)).require()
    work = make_ready(plan.resolved, plan.prepared, Events()).work
    assert plan.facts["trainable"] == sum(weight.numel() for _, weight in work.named)
    assert plan.facts["parameters"] == sum(
        weight.numel() for weight in work.model.model.parameters()
    )


def test_a_method_for_other_models_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS.get("lora"), "kinds", frozenset({"decoder"}))
    with pytest.raises(
        SpecError,
        match=r"method: lora cannot train an encoder; it trains a decoder",
    ):
        shape(folder, settings({"name": "lora"}, folder))
