"""reward: closed form, trl's loss and gradient, one gradient however a step is cut; proved, asked
and loaded elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import tunesmith as ts
from material.fast import slow_but
from material.headed import encoder
from material.pairs import pairs
from material.proved import Counted
from material.written_rows import REPLIES, written
from tunesmith.batches.batch import Batch, Tokens
from tunesmith.errors import DataError, SpecError
from tunesmith.models.loading.load import load_model
from tunesmith.predicting.predictor import Predictor
from tunesmith.report.build import build
from tunesmith.settings.family import OBJECTIVES


def objective(**settings: Any) -> Any:
    return OBJECTIVES.make(OBJECTIVES.config({"name": "reward", **settings}))


def rows(count: int = 8) -> list[tuple[Tokens, ...]]:
    """Pairs with a margin."""
    found = []
    for n, pair in enumerate(pairs()[:count]):
        found.append(
            tuple(Tokens(one.ids_T, one.weights_T, one.columns | {"margin": n / 4}) for one in pair)
        )
    return found


@pytest.fixture(scope="module")
def model(tiny_llama: Path) -> Any:
    torch.manual_seed(0)
    loaded = load_model(
        tiny_llama, dtype=torch.float32, device="cpu", head="classes", outputs=objective().outputs
    )
    for weight in loaded.model.parameters():
        torch.nn.init.normal_(weight.requires_grad_(), std=0.12)
    return loaded


def stepped(
    one: Any, model: Any, batches: list[Batch]
) -> tuple[float, torch.Tensor, dict[str, float]]:
    """Loss per pair of a step, its gradient, and the metrics."""
    model.zero_grad()
    units, total, metrics = sum(batch.units for batch in batches), 0.0, {}
    for batch in batches:
        loss = one.loss({"policy": model}, batch)
        (loss.total / units).backward()
        total += float(loss.total.detach())
        for name, ratio in loss.metrics.items():
            metrics[name] = metrics[name] + ratio if name in metrics else ratio
    gradient = torch.cat(
        [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    )
    return total / units, gradient, {name: ratio.value for name, ratio in metrics.items()}


def test_closed_form() -> None:
    scores_P2 = torch.tensor([[np.log(3.0), 0.0], [1.0, 1.0]], dtype=torch.float32)
    found = objective(centering=0.0).terms(scores_P2, torch.tensor([0.0, 0.0]))
    assert found.tolist() == pytest.approx([np.log(4 / 3), np.log(2)])
    found = objective(centering=0.5).terms(
        scores_P2, torch.tensor([np.log(3.0), 0.0], dtype=torch.float32)
    )
    assert found.tolist() == pytest.approx([np.log(2) + np.log(3) ** 2 / 2, np.log(2) + 2])


@pytest.mark.parametrize("centering", [0.0, 0.1])
def test_loss_and_gradient_are_trls(centering: float, model: Any) -> None:
    from trl.trainer.reward_trainer import DataCollatorForPreference, RewardTrainer

    ours = stepped(
        objective(centering=centering), model.model, [Batch.grow(rows(), unit="example")]
    )
    trainer = object.__new__(RewardTrainer)
    one_rank = SimpleNamespace(gather_for_metrics=lambda value: value, gather=lambda value: value)
    settings = SimpleNamespace(center_rewards_coefficient=centering or None)
    metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    vars(trainer).update(
        model=model.model,
        args=settings,
        accelerator=one_rank,
        _metrics=metrics,
        _total_train_tokens=0,
        _tp_size=1,
    )
    examples = [
        {
            "chosen_ids": c.ids_T.tolist(),
            "rejected_ids": r.ids_T.tolist(),
            "margin": c.columns["margin"],
        }
        for c, r in rows()
    ]
    model.model.zero_grad()
    loss = trainer.compute_loss(
        model.model, DataCollatorForPreference(pad_token_id=model.tokenizer.pad_token_id)(examples)
    )
    loss.backward()
    theirs = torch.cat(
        [weight.grad.flatten() for weight in model.model.parameters() if weight.grad is not None]
    )
    assert ours[0] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert float((ours[1] - theirs).norm() / theirs.norm()) < 1e-4
    assert ours[2]["accuracy"] == pytest.approx(float(trainer._metrics["eval"]["accuracy"][0]))


def test_one_gradient_however_a_step_is_cut_and_laid_out(model: Any) -> None:
    assert model.layout == "forest"
    one, whole = objective(), rows()
    reference = stepped(one, model.model, [Batch.grow(whole, unit="example")])
    cuts = ([[row] for row in whole], [whole[:4], whole[4:]], [whole])
    for padded, parts in ((False, cuts[0]), (False, cuts[1]), (True, cuts[1]), (True, cuts[2])):
        batches = [Batch.grow(part, unit="example") for part in parts]
        found = stepped(
            one, model.model, [batch.padded() if padded else batch for batch in batches]
        )
        assert found[0] == pytest.approx(reference[0], rel=1e-5)
        assert float((found[1] - reference[1]).norm() / reference[1].norm()) < 1e-5
        assert found[2] == pytest.approx(reference[2], rel=1e-4)


@pytest.mark.parametrize("method", slow_but(["full"], ["lora", "full"]))
def test_trained_proved_asked_and_loaded_elsewhere(
    method: str, tiny_llama: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    settings = {
        "model": str(tiny_llama),
        "data": {"path": str(written(tmp_path / "pairs.jsonl")), "held_out": 24},
        "out": str(tmp_path / "run"),
        "objective": "reward",
        "method": method,
        "train": {"steps": 12, "batch": 8, "learning_rate": 1e-2, "machine": {"threads": 1}}
        | {"keep": {"evaluate": 6, "best_by": "accuracy"}},
    }
    run = ts.train(settings)
    steps = [line for line in run.steps() if "learning_rate" in line]
    assert steps[-1]["loss"] < steps[0]["loss"] and steps[-1]["accuracy"] == 1
    assert {"margin", "score/chosen", "score/rejected"} <= steps[-1].keys()
    counted = Counted()
    proof = ts.prove(run, listen=[counted.hear])
    assert counted.told == len(counted.begun), counted.begun
    assert (
        proof.found["contenders"]["tuned"]["pair_accuracy"] == 1
        and proof.found["against"] == "length"
    )
    assert "base" not in proof.found[
        "contenders"
    ] and "which of two answers scores higher" in "\n".join(proof.lines())

    assert "choosing the longer answer" in build(run).read_text(encoding="utf-8")

    predictor = Predictor(run)
    pair = {"prompt": "Where is it?", "chosen": REPLIES[0], "rejected": REPLIES[3]}
    chat = {
        "messages": [
            {"role": "user", "content": "Where is it?"},
            {"role": "assistant", "content": REPLIES[0]},
        ]
    }
    both, alone = predictor.predict([pair, chat])
    assert both["prediction"] > both["prediction_rejected"] and alone[
        "prediction"
    ] == pytest.approx(both["prediction"], abs=1e-5)
    with pytest.raises(DataError, match="no answer to score"):
        predictor.predict([{"prompt": "Where is it?"}])
    assert predictor.predict([]) == []

    from tunesmith.models.finding.hub import find_model

    folder = find_model(str(run.path))
    loaded = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.decode(predictor.objective.output.ask(predictor, chat)["prediction"].ids_T)
    theirs = pipeline("text-classification", model=loaded, tokenizer=tokenizer)(text)
    assert theirs[0]["score"] == pytest.approx(alone["prediction"], abs=1e-5)


def test_an_encoder_reads_question_and_answer_as_two_texts(tmp_path: Path) -> None:
    settings = {
        "model": str(encoder(tmp_path / "bert")),
        "data": {"path": str(written(tmp_path / "pairs.jsonl", 40)), "held_out": 0},
        "out": str(tmp_path / "run"),
        "objective": "reward",
        "method": "full",
        "train": {"steps": 2, "batch": 4, "machine": {"threads": 1}},
    }
    predictor = Predictor(ts.train(settings))
    tokens = predictor.objective.output.ask(
        predictor, {"prompt": "where is it?", "chosen": "yes", "rejected": ""}
    )["prediction"]
    assert predictor.loaded.tokenizer.decode(tokens.ids_T) == "[CLS] where is it? [SEP] yes [SEP]"
    with pytest.raises(SpecError, match="gives numbers"):
        ts.plan(settings | {"questions": ["Where?"], "out": str(tmp_path / "other")}).require()


@pytest.mark.slow  # 3 s
def test_real_pairs_are_scored_to_the_end_of_the_answer(
    shared_data: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    settings = {
        "model": str(tiny_llama),
        "out": str(tmp_path / "run"),
        "objective": "reward",
        "data": {
            "path": str(shared_data / ("reward_zh/dpo_zh_500.jsonl#40")),
            "max_length": 512,
            "too_long": "truncate",
        },
        "train": {"steps": 2, "batch": 4, "machine": {"threads": 1}},
    }
    plan = ts.plan(settings)
    assert not plan.problems and plan.prepared is not None
    stop = plan.prepared.render.stop_ids
    for item in plan.prepared.train:
        assert len(item.tokens) == 2 and all(
            len(tokens) == 512 or tokens.ids_T[-1] in stop for tokens in item.tokens
        )
    assert ts.train(settings).model.is_dir()
